/// Reads of plain files, many with one system call.
///
/// Used by one thread at a time.
final class RingReader {
    /// As many as are under way at a time.
    private static let depth = 128

    private let ring: Ring

    /// Nil where there is no ring for us.
    init?() {
        guard let ring = Ring(depth: Self.depth) else { return nil }
        self.ring = ring
    }

    /// Makes reads and waits for all of them.
    ///
    /// - Parameters:
    ///   - count: How many there are.
    ///   - read: The read with a number, which is its tag, and the file that it is of.
    ///   - missed: Called with the number of each that did not give all that it should.
    func perform(
        _ count: Int, read: (Int) -> (request: Request, descriptor: Int32), missed: (Int) -> Void
    ) {
        var next = 0
        var underWay = 0
        while next < count || underWay > 0 {
            while next < count, underWay < Self.depth {
                let (request, descriptor) = read(next)
                guard ring.add(request, of: descriptor) else { break }
                next += 1
                underWay += 1
            }
            let completion = ring.next()
            underWay -= 1
            let wanted = unsafe read(completion.tag).request.memory.count
            if completion.result != wanted { missed(completion.tag) }
        }
    }
}
