/// A read or a write of a file or device.
@safe struct Request: @unchecked Sendable {
    enum Kind: Sendable {
        case read, write
    }

    let kind: Kind
    /// What is written, or where to read to; it stays until the request has ended.
    let memory: UnsafeMutableRawBufferPointer
    /// Where in it, in bytes.
    let offset: UInt64
    /// What the completion is told by; below the queue's depth, and not in use.
    let tag: Int
}

/// How a request ended: as its system call would have, with −errno for −1.
struct Completion: Sendable {
    let tag: Int
    let result: Int
}

/// Gets requests to the target, many at a time, in no order.
///
/// Used by one thread. Whoever uses it awaits every request before letting go of its memory.
protocol RequestQueue: AnyObject {
    /// Takes a request; there are never more under way than the depth it was made with.
    func submit(_ request: Request)

    /// Has the requests begin that were only taken.
    func start()

    /// Waits until a request ends; called only while one is under way.
    func next() -> Completion
}
