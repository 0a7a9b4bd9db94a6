import Dispatch
import Foundation
import SystemPackage

/// Opens a file that no child inherits.
func openFile(
    _ path: FilePath, _ mode: FileDescriptor.AccessMode, options: FileDescriptor.OpenOptions = []
) throws(MachineError) -> FileDescriptor {
    do {
        return try FileDescriptor.open(
            path, mode, options: options.union(.closeOnExec), permissions: .ownerReadWrite)
    } catch let error as Errno {
        throw .system(error, path.string)
    } catch {
        throw .invalid("\(path): \(error)")
    }
}

/// A pipe that no child inherits by chance.
struct Pipe: Sendable {
    let reading: FileDescriptor
    let writing: FileDescriptor

    init() throws(MachineError) {
        do {
            (reading, writing) = try FileDescriptor.pipe()
        } catch let error as Errno {
            throw .system(error, "pipe")
        } catch {
            throw .invalid("pipe: \(error)")
        }
        for end in [reading, writing] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
    }
}

/// Hands everything that comes out of a descriptor to `sink`, from a thread of its own, closes the
/// descriptor at its end, and leaves `group` then. The end itself is handed over as nothing.
func relay(
    _ source: FileDescriptor, in group: DispatchGroup,
    to sink: @escaping @Sendable ([UInt8]) -> Void
) {
    group.enter()
    Thread.detachNewThread {
        defer {
            try? source.close()
            group.leave()
        }
        while true {
            let bytes = try? unsafe [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
                count = try unsafe source.read(into: UnsafeMutableRawBufferPointer(buffer))
            }
            sink(bytes ?? [])
            guard let bytes, !bytes.isEmpty else { return }
        }
    }
}

/// Writes everything, also where somebody made the descriptor non-blocking. What can't be written,
/// because nobody reads any more, is dropped: the guest must not wait for ever.
func forward(_ bytes: [UInt8], to descriptor: FileDescriptor) {
    var rest = bytes[...]
    while !rest.isEmpty {
        do {
            let count = try unsafe rest.withUnsafeBytes { try unsafe descriptor.write($0) }
            rest = rest.dropFirst(count)
        } catch Errno.resourceTemporarilyUnavailable {
            usleep(2_000)
        } catch {
            return
        }
    }
}
