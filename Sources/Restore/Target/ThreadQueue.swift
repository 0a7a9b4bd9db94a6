internal import Block
internal import Glibc
internal import SystemPackage

/// Requests by threads, each of which makes one call after another.
final class ThreadQueue: RequestQueue {
    private static let mostThreads = 16

    private struct Work {
        var requests: [Request] = []
        /// The first that nobody has taken.
        var first = 0
        var isClosed = false

        mutating func take() -> Request? {
            guard first < requests.count else { return nil }
            let request = requests[first]
            first += 1
            if first == requests.count {
                requests.removeAll(keepingCapacity: true)
                first = 0
            }
            return request
        }
    }

    private let descriptor: Int32
    private let work = Gate(Work())
    private let ended = Gate<[Completion]>([])
    private let threads: [WorkerThread]
    private var taken: [Request] = []

    init(_ descriptor: FileDescriptor, depth: Int) {
        let number = descriptor.rawValue
        self.descriptor = number
        threads = (0..<min(depth, Self.mostThreads)).compactMap { [work, ended] _ in
            WorkerThread.start {
                while true {
                    let request = work.wait { state -> Request?? in
                        if let request = state.take() { return .some(request) }
                        return state.isClosed ? .some(nil) : nil
                    }
                    guard let request else { return }
                    let completion = Self.perform(request, number)
                    ended.change { $0.append(completion) }
                }
            }
        }
    }

    deinit {
        work.change { $0.isClosed = true }
        for thread in threads { thread.join() }
    }

    func submit(_ request: Request) {
        taken.append(request)
    }

    func start() {
        guard !threads.isEmpty, !taken.isEmpty else { return }
        work.change { $0.requests += taken }
        taken.removeAll(keepingCapacity: true)
    }

    func next() -> Completion {
        start()
        // Where the system gives no thread at all, the caller's own does the work.
        if threads.isEmpty { return Self.perform(taken.removeFirst(), descriptor) }
        return ended.wait { $0.popLast() }
    }

    private static func perform(_ request: Request, _ descriptor: Int32) -> Completion {
        let memory = unsafe request.memory
        let offset = off_t(clamping: request.offset)
        let result =
            switch request.kind {
            case .read: unsafe pread(descriptor, memory.baseAddress, memory.count, offset)
            case .write: unsafe pwrite(descriptor, memory.baseAddress, memory.count, offset)
            }
        return Completion(tag: request.tag, result: result == -1 ? -Int(errno) : result)
    }
}
