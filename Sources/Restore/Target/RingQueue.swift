internal import SystemPackage

/// Requests by io_uring.
final class RingQueue: RequestQueue {
    private let ring: Ring
    private let descriptor: Int32

    /// Nil where there is no ring for us.
    init?(_ descriptor: FileDescriptor, depth: Int) {
        guard let ring = Ring(depth: depth) else { return nil }
        self.ring = ring
        self.descriptor = descriptor.rawValue
    }

    func submit(_ request: Request) {
        while !ring.add(request, of: descriptor) { ring.start() }
    }

    func start() { ring.start() }

    func next() -> Completion { ring.next() }
}
