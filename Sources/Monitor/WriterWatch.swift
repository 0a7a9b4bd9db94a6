import Block
import CLinux
import Glibc
import Sessions
import SystemPackage

/// Sees who writes to an activated device past its origin: to the raw device's node, or to an image
/// file itself (inotify's IN_CLOSE_WRITE; I/O of loop devices and device-mapper closes nothing).
///
/// Who only opened it to write (`fdisk` and `q`, `touch`) has done no harm: a write(2) shows as IN_MODIFY.
/// Our own loop device's writes show so, too, unless it does direct I/O (vfs_iter_write in
/// drivers/block/loop.c); over such an image every close counts.
final class WriterWatch {
    private let descriptor: CInt
    private var activations: [CInt: String] = [:]
    /// Watches that tell of writes, and those among them that have seen one since the last close.
    private var tellsOfWrites: Set<CInt> = []
    private var modified: Set<CInt> = []
    /// Activations that somebody has written to, since this was last asked.
    private var written: Set<String> = []

    init() throws(SystemError) {
        descriptor = clinux_writers_fd()
        guard descriptor >= 0 else {
            throw SystemError(
                operation: "inotify_init1", path: "writers", errno: Errno(rawValue: errno))
        }
    }

    deinit { close(descriptor) }

    var source: EventSource {
        EventSource(name: "writers", descriptor: descriptor) { [self] in
            take()
            return !written.isEmpty
        }
    }

    private func take() {
        while true {
            var wrote: CInt = 0
            let watch = unsafe clinux_next_writer(descriptor, &wrote)
            if watch < 0 { return }
            if wrote != 0 {
                modified.insert(watch)
                continue
            }
            let isWritten = modified.remove(watch) != nil || !tellsOfWrites.contains(watch)
            if isWritten, let activation = activations[watch] { written.insert(activation) }
        }
    }

    /// Watches these from now on, those that are watched already included.
    func watch(_ all: [Watched]) {
        // What was written until now was written to whoever had the path then: a device may have been deactivated,
        // written, and activated anew since the last look.
        take()
        for one in all {
            let watch = unsafe clinux_watch_writers(
                descriptor, one.activation.path.text, one.isWrittenDirectly ? 1 : 0)
            guard watch >= 0 else { continue }
            if activations[watch] != one.activation.id { modified.remove(watch) }
            activations[watch] = one.activation.id
            if one.isWrittenDirectly {
                tellsOfWrites.insert(watch)
            } else {
                tellsOfWrites.remove(watch)
            }
        }
    }

    /// The activations that somebody has written to since this was last asked.
    func takeWritten() -> Set<String> {
        take()
        defer { written = [] }
        return written
    }
}
