internal import CUring
internal import Glibc
internal import SystemPackage

/// Requests by io_uring.
@safe final class RingQueue: RequestQueue {
    private let ring: OpaquePointer
    private let descriptor: Int32

    /// Nil where the kernel has no io_uring, or none for us, or one without plain reads and writes.
    init?(_ descriptor: FileDescriptor, depth: Int) {
        guard let ring = unsafe curing_open(UInt32(depth)) else { return nil }
        unsafe self.ring = unsafe ring
        self.descriptor = descriptor.rawValue
    }

    deinit {
        unsafe curing_close(ring)
    }

    func submit(_ request: Request) {
        while add(request) != 0 { start() }
    }

    private func add(_ request: Request) -> Int32 {
        let memory = unsafe request.memory
        let length = UInt32(memory.count)
        let tag = UInt64(request.tag)
        return switch request.kind {
        case .read:
            unsafe curing_add_read(
                ring, descriptor, memory.baseAddress, length, request.offset, tag)
        case .write:
            unsafe curing_add_write(
                ring, descriptor, memory.baseAddress, length, request.offset, tag)
        }
    }

    func start() {
        pause(after: unsafe curing_submit(ring))
    }

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
