import Block
import DeviceMapper
import ExceptionStore
import FoundationEssentials
import Restore
import SystemPackage

/// Makes views: the device as it was, from a session and every later one, beside the device itself.
///
/// Of an activated device the kernel keeps one more snapshot, made now, and a view is the union of the
/// chain over that: what anybody writes to the device from then on goes into that snapshot, and what was
/// written before is in the chain. So the device may be mounted, used and unmounted meanwhile, and its
/// sessions opened and closed.
public struct Viewer: Sendable {
    let lifecycle: Lifecycle

    /// For what a view has decompressed.
    static let cacheBytes = 64 << 20

    var restorer: Restorer { Restorer(lifecycle: lifecycle) }
    var stack: Stack { lifecycle.stack }
    var kernel: any Kernel { lifecycle.kernel }
    var catalogue: Catalogue { lifecycle.catalogue }

    /// The device as it was when a session's mount found it, or as it is now.
    ///
    /// - Parameter request: the session, another device than its own, and what it goes on in spite of.
    /// - Throws: what stands against restoring the session, but for one that is open; `noRoom`; `busy`
    ///   where the device is restored online, or isn't activated and is in use.
    public func view(
        _ request: RestoreRequest, _ moment: View.Moment = .beginning
    ) throws(SessionsError) -> View {
        let session = try catalogue.session(named: request.session)
        return try asSessionsError {
            if let activation = try restorer.activation(of: session, request) {
                return try armed(activation, session, request, moment)
            }
            return try bare(session, request, moment)
        }
    }

    /// The session after this one in its chain, which begins where this one ends; nil after the last.
    public func successor(of name: String) throws(SessionsError) -> Session? {
        let session = try catalogue.session(named: name)
        let (chain, sessions) = try catalogue.lineage(of: session)
        let later = chain.members.drop { $0.name != session.record.name }.dropFirst()
        return later.first.flatMap { sessions[$0.name] }
    }

    // MARK: An activated device

    private func armed(
        _ activation: Activation, _ session: Session, _ request: RestoreRequest,
        _ moment: View.Moment
    ) throws -> View {
        let (names, workshop, ground) = try ground(of: activation) { activation, names, workshop in
            moment == .now
                ? try present(of: activation, names, workshop)
                : try beginning(of: session, activation, request, names, workshop)
        }
        return try view(
            names, over: ground, past: past(over: ground, session, workshop),
            stack.chunkSize(activation), workshop)
    }

    /// What a view of an activated device is made over, by `body`, while nobody else works on it.
    func ground(
        of activation: Activation, _ body: (Activation, ViewNames, Workshop) throws -> Ground
    ) throws -> (ViewNames, Workshop, Ground) {
        let names = ViewNames(owner: activation.id)
        let workshop = try Workshop(names, in: activation.base.path.path, lifecycle)
        let ground = try lifecycle.registry.operating(on: activation.id) { current -> Ground in
            guard let activation = try lifecycle.recover(current) else {
                throw SessionsError.notActivated(activation.path.text)
            }
            try lifecycle.requireAssembled(activation, "then look into it")
            try lifecycle.merger.refuse(activation, "then look into it")
            try lifecycle.refuseOverlay(activation, "then look into it")
            return try body(activation, names, workshop)
        }
        return (names, workshop, ground)
    }

    /// A device that nobody writes to, and what leads back from there.
    struct Ground {
        let moment: View.Moment
        let state: View.Ground
        let number: DeviceNumber
        let size: ByteCount
        let sector: UInt32
        let sources: [any ChunkSource]
        /// What can't be known, and has to be true.
        let conditions: [Chain.Condition]
        /// What stood against it, and the request lifts.
        let lifted: [String]
        /// What keeps it from going.
        let hold: AnyObject?
    }

    /// The device as it is now.
    func present(
        of activation: Activation, _ names: ViewNames, _ workshop: Workshop
    ) throws -> Ground {
        let (passing, taken) = try passing(of: activation, names, workshop, freezing: true)
        return Ground(
            moment: .now, state: state(of: activation, taken),
            number: passing.number, size: activation.size, sector: activation.sector,
            sources: [], conditions: [], lifted: [], hold: passing)
    }

    /// The device as it is now, and the sources that lead back from there to a session's beginning.
    private func beginning(
        of session: Session, _ activation: Activation, _ request: RestoreRequest,
        _ names: ViewNames, _ workshop: Workshop
    ) throws -> Ground {
        let route = try restorer.route(to: session, through: activation)
        let obstacles = route.obstacles.filter { obstacle in
            if case .open(let name) = obstacle { return name != activation.session }
            return true
        }
        let lifted = try restorer.lift(obstacles, session, request)
        try refuseUncaptured(activation, session)
        let closed = try restorer.sources(
            of: route.members.filter { $0.record.name != activation.session },
            cacheBytes: Self.cacheBytes)
        let (passing, taken) = try passing(of: activation, names, workshop, freezing: false)
        return Ground(
            moment: .beginning, state: state(of: activation, taken),
            number: passing.number, size: activation.size, sector: activation.sector,
            sources: closed + [try captured(activation, taken)], conditions: route.conditions,
            lifted: lifted, hold: passing)
    }

    private func state(of activation: Activation, _ taken: UInt64?) -> View.Ground {
        View.Ground(
            device: ByteText(activation.id), store: activation.store.number, taken: taken)
    }

    /// The lowest snapshot, and how many chunks the store that captures had when nothing was written.
    private func passing(
        of activation: Activation, _ names: ViewNames, _ workshop: Workshop, freezing: Bool
    ) throws -> (PassingDevice, UInt64?) {
        let loop = try workshop.emptyStore(
            "now", for: activation.size, try stack.chunkSize(activation),
            sector: activation.sector)
        return try making(names) {
            try withExtendedLifetime(loop) {
                try stack.passingSnapshot(
                    of: activation, names(.now), freezing: freezing, on: loop.number
                ) {
                    try stack.chunksTaken(activation, store: activation.store.number)
                }
            }
        }
    }

    /// What the kernel had captured when nothing was written to the device: it writes an exception down
    /// before it lets the write through. What it captured since is in the newer snapshot, too.
    private func captured(_ activation: Activation, _ taken: UInt64?) throws -> any ChunkSource {
        let session = activation.session?.text ?? activation.name.text
        let store = try catalogue.closedStore(
            in: activation.directory, originSize: activation.size,
            chunkSize: activation.chunkSize, session: session, first: taken)
        try store.require(taken, of: session)
        return store
    }

    private func refuseUncaptured(_ activation: Activation, _ session: Session) throws {
        if let loss = activation.store.loss {
            throw SessionsError.brokenView(activation.path, session, loss)
        }
        if let breach = activation.store.breach {
            throw SessionsError.brokenView(activation.path, session, breach.what)
        }
    }

    // MARK: Both

    /// - Parameter isLimited: whether what is written to it may be much, and has to leave what is kept for
    ///   others.
    func view(
        _ names: ViewNames, over ground: Ground, past: ComposedStore?, _ chunk: ChunkSize,
        _ workshop: Workshop, isLimited: Bool = false
    ) throws -> View {
        let loop = try workshop.emptyStore(
            "view", for: ground.size, chunk, sector: ground.sector, isLimited: isLimited)
        let (view, then) = try making(names) {
            try withExtendedLifetime((ground.hold, past, loop)) {
                try stack.passingView(
                    names, of: ground.number, size: ground.size, past: past?.past, on: loop.number,
                    chunk: chunk)
            }
        }
        if let past, let then { try past.prove(OwnedDescriptor.open(then.path, .readOnly)) }
        return View(
            view, of: ground.moment, over: ground.state, past: past?.union.exceptions,
            served: past?.served, contents: try kernel.contents(view.path),
            conditions: ground.conditions.map { "\($0)" }, overridden: ground.lifted)
    }

    /// Makes parts of a view, after what a program that was killed has left of others is gone. One program at a
    /// time: what one has made and not opened yet looks abandoned.
    private func making<Result>(_ names: ViewNames, _ body: () throws -> Result) throws -> Result {
        let registry = lifecycle.registry
        return try registry.holding(registry.layout.viewsLock, for: "a view") {
            try stack.removeAbandonedViews(of: names.owner)
            return try body()
        }
    }

    /// What leads back from there; nil if it is as it was.
    func past(
        over ground: Ground, _ session: Session, _ workshop: Workshop
    ) throws -> ComposedStore? {
        if ground.sources.isEmpty { return nil }
        let plan = try RestorePlan(sources: ground.sources)
        guard plan.originSize == ground.size else {
            throw SessionsError.unsuitable(
                device: session.record.device.text,
                reason: "it has \(ground.size.bytes) bytes, and the session's device had "
                    + "\(plan.originSize.bytes)")
        }
        return try workshop.unionStore(of: plan, sector: ground.sector)
    }
}

extension SessionsError {
    fileprivate static func brokenView(
        _ device: ByteText, _ session: Session, _ reason: String
    ) -> SessionsError {
        .unsuitable(
            device: device.text,
            reason: "\(reason), so nobody knows what it was before session "
                + "\(session.record.name)")
    }
}
