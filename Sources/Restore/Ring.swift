internal import CUring
internal import Glibc

/// An io_uring. Used by one thread at a time; nothing may be under way when it goes.
@safe final class Ring {
    private let ring: OpaquePointer

    /// Nil where the kernel has no io_uring, or none for us, or one without plain reads and writes.
    ///
    /// - Parameter depth: As many as are under way at a time.
    init?(depth: Int) {
        guard let ring = unsafe curing_open(UInt32(depth)) else { return nil }
        unsafe self.ring = unsafe ring
    }

    deinit {
        unsafe curing_close(ring)
    }

    /// Takes a request; false where those taken before have to begin first.
    func add(_ request: Request, of descriptor: Int32) -> Bool {
        let memory = unsafe request.memory
        let length = UInt32(memory.count)
        let tag = UInt64(request.tag)
        return switch request.kind {
        case .read:
            unsafe curing_add_read(
                ring, descriptor, memory.baseAddress, length, request.offset, tag) == 0
        case .write:
            unsafe curing_add_write(
                ring, descriptor, memory.baseAddress, length, request.offset, tag) == 0
        }
    }

    /// Has the requests begin that were only taken.
    func start() {
        pause(after: unsafe curing_submit(ring))
    }

    /// Waits until a request ends; those that were only taken begin, too.
    func next() -> Completion {
        var tag: UInt64 = 0
        var result: Int32 = 0
        while true {
            let failure = unsafe curing_wait(ring, &tag, &result)
            if failure == 0 { return Completion(tag: Int(tag), result: Int(result)) }
            pause(after: failure)
        }
    }

    /// Waits a moment after a call that was short of memory; it is made again.
    ///
    /// What is under way has to be awaited, so there is no giving up.
    private func pause(after result: Int32) {
        if result < 0, result != -EINTR { usleep(1000) }
    }
}
