/// A store under the origin, and the session that it is named for, if it is.
public struct Capture: Hashable, Sendable {
    /// The store.
    public var store: Store
    /// The session's name; nil while nothing has opened one.
    public var session: SessionName?
}

/// A store that takes what is written to a device, in the device's place.
public struct Overlay: Hashable, Sendable {
    /// The store; its baseline is what the device under it is.
    public var store: Store
    /// What it holds was begun to be written to the device, which is neither the one nor the other until
    /// that has ended: so it is not given up before.
    public var isCommitting = false

    init(store: Store) {
        self.store = store
    }
}

/// What an activated device is in the middle of, and what belongs to that.
///
/// ```
///   activating ──> armed <──> open            armed, open: one store captures
///                    │ ^       │              exchanging:  the next is made, then takes over
///                    │ └─ exchanging <┘       merging:     an online restore is under way
///                    v                        activating, deactivating: completed or undone
///                 merging ──> armed, open                  by whoever comes next
///       armed, open ──> deactivating ──> (forgotten)
///
///   activating ──> overlay <──> discarding      overlay: the device is not written, a store is
///                    └──> uncovering ──> (forgotten)
/// ```
public enum State: Hashable, Sendable {
    /// Being set up: of no use if whoever does it has died.
    case activating(Store)
    /// The store captures, and no session is open.
    case armed(Store)
    /// The store captures, and is this session's.
    case open(Store, session: SessionName)
    /// `next` is being made, or takes over, or has taken over and what the first one holds is being
    /// made a session. The kernel's tables tell which.
    case exchanging(Capture, next: Store)
    /// The kernel puts a session back. No exchange comes before its end.
    case merging(Capture, OnlineMerge)
    /// The tables are being taken down.
    case deactivating(Capture)
    /// What is written goes to the store, and the device under it is not written at all.
    case overlay(Overlay)
    /// What was written over the device is given up: `next`, an empty store, takes over.
    case discarding(Overlay, next: Store)
    /// The table of an overlay that holds nothing is being taken down.
    case uncovering(Store)

    /// A store that captures, with a session or without.
    static func capturing(_ capture: Capture) -> State {
        capture.session.map { .open(capture.store, session: $0) } ?? .armed(capture.store)
    }

    /// The store that is under the origin (in an exchange the one that was there first), and its
    /// session.
    public var capture: Capture {
        get {
            switch self {
            case .activating(let store), .armed(let store): Capture(store: store)
            case .open(let store, let session): Capture(store: store, session: session)
            case .exchanging(let capture, _), .merging(let capture, _), .deactivating(let capture):
                capture
            case .overlay(let overlay), .discarding(let overlay, _): Capture(store: overlay.store)
            case .uncovering(let store): Capture(store: store)
            }
        }
        set {
            switch self {
            case .activating: self = .activating(newValue.store)
            case .armed, .open: self = .capturing(newValue)
            case .exchanging(_, let next): self = .exchanging(newValue, next: next)
            case .merging(_, let merge): self = .merging(newValue, merge)
            case .deactivating: self = .deactivating(newValue)
            case .overlay(var overlay):
                overlay.store = newValue.store
                self = .overlay(overlay)
            case .discarding(var overlay, let next):
                overlay.store = newValue.store
                self = .discarding(overlay, next: next)
            case .uncovering: self = .uncovering(newValue.store)
            }
        }
    }

    /// Whether the device is to be there: neither being set up nor taken down.
    public var isActive: Bool {
        switch self {
        case .armed, .open, .exchanging, .merging, .overlay, .discarding: true
        case .activating, .deactivating, .uncovering: false
        }
    }

    /// What lies over the device in place of capturing stores; nil where those do, or will.
    public var overlay: Overlay? {
        switch self {
        case .overlay(let overlay), .discarding(let overlay, _): overlay
        case .uncovering(let store): Overlay(store: store)
        case .activating, .armed, .open, .exchanging, .merging, .deactivating: nil
        }
    }
}

extension State: Codable {
    private enum Name: String, Codable {
        case activating, armed, open, exchanging, merging, deactivating
        case overlay, discarding, uncovering
    }

    private enum CodingKeys: String, CodingKey {
        case name, store, session, next, merge, committing
    }

    /// - Throws: `dataCorrupted` for what can't be, as an open one without a session.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let store = try container.decode(Store.self, forKey: .store)
        let session = try container.decodeIfPresent(SessionName.self, forKey: .session)
        let capture = Capture(store: store, session: session)
        let name = try container.decode(Name.self, forKey: .name)
        switch (name, session) {
        case (.activating, nil): self = .activating(store)
        case (.armed, nil): self = .armed(store)
        case (.open, let session?): self = .open(store, session: session)
        case (.exchanging, _):
            self = .exchanging(capture, next: try container.decode(Store.self, forKey: .next))
        case (.merging, _):
            self = .merging(capture, try container.decode(OnlineMerge.self, forKey: .merge))
        case (.deactivating, _): self = .deactivating(capture)
        case (.overlay, nil), (.discarding, nil):
            var overlay = Overlay(store: store)
            overlay.isCommitting =
                try container.decodeIfPresent(Bool.self, forKey: .committing) ?? false
            self =
                name == .overlay
                ? .overlay(overlay)
                : .discarding(overlay, next: try container.decode(Store.self, forKey: .next))
        case (.uncovering, nil): self = .uncovering(store)
        case (.activating, _?), (.armed, _?), (.open, nil), (.overlay, _?), (.discarding, _?),
            (.uncovering, _?):
            throw DecodingError.dataCorruptedError(
                forKey: .session, in: container,
                debugDescription: "\(name) and a session don't go together")
        }
    }

    /// One object for each: its name, and what belongs to it.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(capture.store, forKey: .store)
        try container.encodeIfPresent(capture.session, forKey: .session)
        let name: Name
        switch self {
        case .activating: name = .activating
        case .armed: name = .armed
        case .open: name = .open
        case .exchanging(_, let next):
            name = .exchanging
            try container.encode(next, forKey: .next)
        case .merging(_, let merge):
            name = .merging
            try container.encode(merge, forKey: .merge)
        case .deactivating: name = .deactivating
        case .overlay(let overlay):
            name = .overlay
            if overlay.isCommitting { try container.encode(true, forKey: .committing) }
        case .discarding(let overlay, let next):
            name = .discarding
            if overlay.isCommitting { try container.encode(true, forKey: .committing) }
            try container.encode(next, forKey: .next)
        case .uncovering: name = .uncovering
        }
        try container.encode(name, forKey: .name)
    }
}
