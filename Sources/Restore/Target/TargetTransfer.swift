internal import Block
internal import Glibc
internal import SystemPackage

/// Moves batches to and from the target, with many requests under way.
///
/// It deals with requests that do less than they were asked for, that are interrupted, that the
/// target takes only through the page cache, and that fail. After the first failure nothing new
/// begins; before anybody lets go of a batch's memory `drain` has to have returned.
@safe final class TargetTransfer {
    /// What a request may begin and end at if it goes past the page cache: no disk has less.
    private static let sector: UInt64 = 512
    /// How often a request is tried that the kernel wants to be tried again, a millisecond apart.
    private static let mostAttempts = 10_000

    private struct Flight {
        let kind: Request.Kind
        let slot: BatchSlot
        var write: Batch.Write
        var attempts = 0
    }

    private let descriptor: FileDescriptor
    private let path: FilePath
    private let queue: any RequestQueue
    private let largest: Int
    private let wasDirect: Bool
    private let wantsDirect: Bool

    private var isDirect: Bool
    private var flights: [Flight?]
    private var free: [Int]
    /// Flights that are to be made again through the page cache.
    private var refused: [Int] = []
    private var underWay = 0

    /// Bytes whose requests have ended well.
    private(set) var bytesDone: UInt64 = 0
    /// Whether any request was made.
    private(set) var hasBegun = false
    /// The failure at the lowest offset, and what happened.
    private(set) var failure: (offset: UInt64, reason: RestoreError.Reason)?

    /// - Parameter target: Has to outlive this.
    init(_ target: borrowing OwnedDescriptor, _ settings: EngineSettings) {
        descriptor = target.descriptor
        path = target.path
        queue = settings.queue(target.descriptor)
        largest = settings.largestRequest
        flights = [Flight?](repeating: nil, count: settings.depth)
        free = Array((0..<settings.depth).reversed())
        wasDirect = descriptor.isDirect
        wantsDirect = settings.isDirect
        isDirect = wasDirect
        if wantsDirect, !wasDirect { isDirect = descriptor.setDirect(true) }
    }

    /// Has the descriptor again as it was; nothing may be under way.
    func close() {
        setDirect(wasDirect)
    }

    private func setDirect(_ isDirect: Bool) {
        guard isDirect != self.isDirect else { return }
        if descriptor.setDirect(isDirect) { self.isDirect = isDirect }
    }

    /// Whether nothing is under way.
    var isIdle: Bool { underWay == 0 && refused.isEmpty }

    /// Begins all requests of a batch; `slot.requests` says how many haven't ended.
    func begin(_ kind: Request.Kind, _ slot: BatchSlot) {
        slot.batch.forEachWrite(atMost: largest) { write in
            begin(Flight(kind: kind, slot: slot, write: write))
        }
        queue.start()
    }

    private func begin(_ flight: Flight) {
        if isDirect, !Self.isAligned(flight.write) {
            // The end of an image that makes no sector. What is in its page already has to be
            // down before the page cache reads it.
            drain()
            setDirect(false)
        }
        while failure == nil, free.isEmpty || !refused.isEmpty { waitForOne() }
        guard failure == nil, let tag = free.popLast() else { return }
        flight.slot.requests += 1
        flights[tag] = flight
        submit(tag)
    }

    private static func isAligned(_ write: Batch.Write) -> Bool {
        (write.range.lowerBound | write.range.upperBound).isMultiple(of: sector)
    }

    private func submit(_ tag: Int) {
        guard let flight = flights[tag] else { return }
        hasBegun = true
        underWay += 1
        unsafe queue.submit(
            Request(
                kind: flight.kind,
                memory: flight.slot.requireMemory().address(of: flight.write.slot),
                offset: flight.write.range.lowerBound, tag: tag))
    }

    /// Waits until everything that was begun has ended.
    func drain() {
        while !isIdle { waitForOne() }
    }

    /// Waits until one request has ended.
    func waitForOne() {
        if underWay > 0 {
            let completion = queue.next()
            underWay -= 1
            settle(completion)
        }
        if underWay == 0, !refused.isEmpty { repeatRefused() }
    }

    private func settle(_ completion: Completion) {
        let tag = completion.tag
        guard let flight = flights[tag] else { return }
        let rest = flight.write.range
        switch completion.result {
        case 1...:
            let count = min(completion.result, flight.write.slot.count)
            bytesDone += UInt64(count)
            if count == flight.write.slot.count {
                end(tag)
            } else {
                advance(tag, count)
            }
        case 0 where flight.kind == .read:
            fail(tag, .targetEnded(ByteRange(rest)))
        case 0:
            fail(tag, .target(ByteRange(rest), error(.write, .noSpace)))
        case -Int(EINTR):
            submit(tag)
        case -Int(EAGAIN) where flight.attempts < Self.mostAttempts:
            flights[tag]?.attempts += 1
            usleep(1000)
            submit(tag)
        case -Int(EINVAL) where isDirect, -Int(EOPNOTSUPP) where isDirect:
            refused.append(tag)
        default:
            let errno = Errno(rawValue: CInt(clamping: -completion.result))
            fail(tag, .target(ByteRange(rest), error(flight.kind, errno)))
        }
    }

    /// Goes on with what a request has left.
    private func advance(_ tag: Int, _ count: Int) {
        guard var flight = flights[tag] else { return }
        let write = flight.write
        flight.write = Batch.Write(
            range: write.range.lowerBound + UInt64(count)..<write.range.upperBound,
            slot: write.slot.lowerBound + count..<write.slot.upperBound)
        flights[tag] = flight
        if isDirect, !Self.isAligned(flight.write) {
            refused.append(tag)
        } else {
            submit(tag)
        }
    }

    private func repeatRefused() {
        let again = refused
        refused = []
        setDirect(false)
        for tag in again {
            if failure == nil { submit(tag) } else { end(tag) }
        }
        queue.start()
    }

    private func fail(_ tag: Int, _ reason: RestoreError.Reason) {
        if let flight = flights[tag] {
            let offset = flight.write.range.lowerBound
            if failure.map({ offset < $0.offset }) ?? true { failure = (offset, reason) }
        }
        end(tag)
    }

    private func end(_ tag: Int) {
        flights[tag]?.slot.requests -= 1
        flights[tag] = nil
        free.append(tag)
    }

    private func error(_ kind: Request.Kind, _ errno: Errno) -> SystemError {
        SystemError(
            operation: kind == .read ? "pread" : "pwrite", path: path.string, errno: errno)
    }
}
