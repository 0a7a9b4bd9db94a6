import Block
public import ExceptionStore
public import SystemPackage

/// How a device is to be activated.
public struct ActivationRequest: Hashable, Sendable {
    /// Where what is written goes.
    public enum Mode: Hashable, Sendable {
        /// To the device, and what it overwrites is kept.
        case capture
        /// Into a store in the device's place, until it is given up by itself at that time.
        case overlay(RestoreAt)
        /// The same, when somebody says so; of one that is under an overlay already, at whatever time it has.
        case anyOverlay
    }

    /// Where stores are.
    public enum Place: Hashable, Sendable {
        /// Where the configuration says, or wherever one's are that is activated already.
        case configured
        /// In this sessions' base directory.
        case directory(FilePath)
        /// In memory, of a device under an overlay: what is written is gone after a boot.
        case memory
    }

    /// Where what is written goes.
    public var mode: Mode
    /// Of the stores; nil for the configuration's, and for whatever one has that is activated already.
    public var chunkSize: ChunkSize?
    /// Where they are.
    public var place: Place
    /// A loop device over all of an image, which is used instead of a new one: whoever made it (mount(8)) can't
    /// let go of it now.
    public var loop: FilePath?

    /// When a device that captures is put back by itself to what it is before a mount; nil for never, and for
    /// whatever one has that is activated already.
    public var putBackAt: RestoreAt?
    /// How many of the times that it was put back can be undone; nil for none, and for whatever one has that is
    /// activated already.
    public var keep: Int?

    /// What isn't given is left to the configuration.
    public init(
        _ mode: Mode = .capture, putBackAt: RestoreAt? = nil, keep: Int? = nil,
        chunkSize: ChunkSize? = nil, place: Place = .configured, loop: FilePath? = nil
    ) {
        self.mode = mode
        self.putBackAt = putBackAt
        self.keep = keep
        self.chunkSize = chunkSize
        self.place = place
        self.loop = loop
    }

    /// Nobody is told that what is in memory stays.
    static let forgotten =
        "its store is in memory, and what is written is gone after a boot; --restore-at boot or unmount goes with that"

    /// What of it doesn't go together, and what does; nil if all does.
    public var contradiction: String? {
        guard place == .memory else { return nil }
        guard let restoreAt else {
            return "sessions have to outlive a boot; --store ram goes with --mode overlay"
        }
        return restoreAt == .never ? Self.forgotten : nil
    }

    /// When a new activation gives up by itself what is written; nil if it captures.
    var restoreAt: RestoreAt? {
        switch mode {
        case .capture: nil
        case .overlay(let time): time
        case .anyOverlay: place == .memory ? .boot : .never
        }
    }
}

extension Lifecycle {
    /// Nobody is told that a device is activated already if it is so in another way than was asked for.
    ///
    /// - Throws: `unsuitable`, with what it is and what to do.
    func requireSame(
        _ request: ActivationRequest, as active: Activation, _ device: String
    ) throws(SessionsError) {
        guard let (difference, advice) = try difference(from: request, of: active) else { return }
        throw .unsuitable(device: device, reason: "it is activated \(difference); \(advice)")
    }

    /// In what an activation is another one than was asked for, and what makes it so; nil if it is that one.
    func difference(
        from request: ActivationRequest, of active: Activation
    ) throws(SessionsError) -> (what: String, advice: String)? {
        let anew = "deactivate it, then activate it anew"
        guard (request.restoreAt == nil) == (active.restoreAt == nil) else {
            return (active.restoreAt == nil ? "without an overlay" : "under an overlay", anew)
        }
        if let size = request.chunkSize, size.bytes != active.chunkSize {
            return ("with chunks of \(try stack.chunkSize(active))", anew)
        }
        let isThere =
            switch request.place {
            case .configured: true
            case .directory(let directory):
                (try? TrustedPath.ours(directory)).map { ByteText($0) } == active.base.path
            case .memory: active.isInMemory == true
            }
        guard isThere else {
            return active.isInMemory == true
                ? ("with its store in memory", anew)
                : ("with its sessions under \(active.base.path)", anew)
        }
        let wanted: RestoreAt? =
            if case .overlay(let time) = request.mode { time } else { request.putBackAt }
        if let wanted, active.timeOfRestore != wanted {
            return (
                "with --restore-at \(active.timeOfRestore)",
                "`dmsnap set \(active.path) --restore-at \(wanted)` changes that"
            )
        }
        return nil
    }
}

extension SnapshotService {
    /// In what an activation is another one than was asked for; nil if it is that one.
    public func difference(
        from request: ActivationRequest, of active: Activation
    ) throws(SessionsError) -> String? {
        try lifecycle.difference(from: request, of: active)?.what
    }
}
