internal import Glibc
internal import SystemPackage

/// How the engine works; what tests change, and no caller needs to.
struct EngineSettings: Sendable {
    /// How requests get to the target.
    enum Form: Sendable {
        /// io_uring where the kernel has it and lets us, else threads.
        case automatic
        case threads
    }

    var form = Form.automatic
    /// Requests to the target that are under way at a time.
    var depth = 128
    /// The longest of them, in bytes.
    var largestRequest = 512 << 10
    /// Whether to go past the page cache where that works.
    var isDirect = true
    /// Threads that read sources.
    var threads = min(6, max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    /// Batches' memory is counted here.
    var meter = MemoryMeter()
    /// What tests put between the engine and the requests' queue.
    var wrap: @Sendable (any RequestQueue) -> any RequestQueue = { $0 }

    /// Batches under way: one for each thread, and some for the target.
    var slots: Int { threads + 2 }

    func queue(_ descriptor: FileDescriptor) -> any RequestQueue {
        wrap(Self.queue(descriptor, form, depth: depth))
    }

    private static func queue(
        _ descriptor: FileDescriptor, _ form: Form, depth: Int
    ) -> any RequestQueue {
        switch form {
        case .automatic:
            RingQueue(descriptor, depth: depth) ?? ThreadQueue(descriptor, depth: depth)
        case .threads: ThreadQueue(descriptor, depth: depth)
        }
    }
}
