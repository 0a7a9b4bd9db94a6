import Block
import CLinux
import Glibc
import Sessions
import SystemPackage

/// Sees who writes to an activated device past its origin: to the raw device's node, or to an image
/// file itself (inotify's IN_CLOSE_WRITE; I/O of loop devices and device-mapper closes nothing).
final class WriterWatch {
    private let descriptor: CInt
    private var activations: [CInt: String] = [:]
    /// Activations that somebody has written to, since this was last asked.
    private var written: Set<String> = []

    init() throws(SystemError) {
        descriptor = clinux_writers_fd()
        guard descriptor >= 0 else {
            throw SystemError(
                operation: "inotify_init1", path: "writers", errno: Errno(rawValue: errno))
        }
    }

    var source: EventSource {
        EventSource(name: "writers", descriptor: descriptor) { [self] in
            take()
            return !written.isEmpty
        }
    }

    private func take() {
        while true {
            let watch = clinux_next_writer(descriptor)
            if watch < 0 { return }
            if let activation = activations[watch] { written.insert(activation) }
        }
    }

    /// Watches these from now on, those that are watched already included.
    func watch(_ all: [Watched]) {
        for one in all {
            let watch = unsafe clinux_watch_writers(descriptor, one.activation.path)
            if watch >= 0 { activations[watch] = one.activation.id }
        }
    }

    /// The activations that somebody has written to since this was last asked.
    func takeWritten() -> Set<String> {
        take()
        defer { written = [] }
        return written
    }
}
