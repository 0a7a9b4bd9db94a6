import Block
import FoundationEssentials
import SystemPackage
import WriteLog

/// A store of an activation. What a device held when it was armed is what its session goes back to.
struct StoreKey: Hashable, Codable, CustomStringConvertible {
    let activation: String
    let store: Int

    var description: String { "\(activation)-\(store)" }
}

/// A workload's log, and the truth about it.
struct Recording {
    /// What is known of a time in the log, as the text of a mark, which is one word.
    enum Mark: Hashable, CustomStringConvertible {
        /// This store captures; the device is as its kept image, until something writes to it.
        case armed(StoreKey)
        /// The same store, and it is about to be mounted.
        case mounted(StoreKey)
        /// The session of this store is deleted from here on, or merged into the one before it: it may
        /// be there, and it may be gone.
        case deleting(StoreKey)
        /// The device is not activated any more.
        case deactivated
        /// It is under an overlay.
        case over(Over)

        var description: String {
            switch self {
            case .armed(let key): "armed:\(key.activation):\(key.store)"
            case .mounted(let key): "mounted:\(key.activation):\(key.store)"
            case .deleting(let key): "deleting:\(key.activation):\(key.store)"
            case .deactivated: "deactivated"
            case .over(let over): over.description
            }
        }

        init?(_ text: String) {
            let words = text.split(separator: ":")
            if words == ["deactivated"] {
                self = .deactivated
                return
            }
            if words.first == "over" {
                self = .over(
                    Over(
                        device: Int(words[1]),
                        shown: words.dropFirst(2).compactMap { Int($0) }))
                return
            }
            guard words.count == 3, let store = Int(words[2]) else { return nil }
            let key = StoreKey(activation: String(words[1]), store: store)
            switch words[0] {
            case "armed": self = .armed(key)
            case "mounted": self = .mounted(key)
            case "deleting": self = .deleting(key)
            default: return nil
            }
        }
    }

    /// What a device under an overlay is, by the numbers of what was shown once.
    struct Over: Hashable, CustomStringConvertible {
        /// What is on it; nil while it is neither the one nor the other.
        let device: Int?
        /// What may be shown after a boot; nothing for what nobody knows.
        let shown: [Int]

        var description: String {
            (["over", device.map(String.init) ?? "?"] + shown.map(String.init))
                .joined(separator: ":")
        }
    }

    /// What isn't in the log.
    struct Truth: Codable {
        let use: Use
        /// The stores that became sessions, without those that were deleted.
        let sessions: Set<StoreKey>
    }

    /// Where its files are: `base`, `log`, `truth.json`, and `image-…` for each store, or `shown-…`.
    let directory: FilePath
    let log: WriteLog
    let truth: Truth

    static func base(in directory: FilePath) -> FilePath { directory.appending("base") }
    static func log(in directory: FilePath) -> FilePath { directory.appending("log") }
    static func truth(in directory: FilePath) -> FilePath { directory.appending("truth.json") }
    static func image(of key: StoreKey, in directory: FilePath) -> FilePath {
        directory.appending("image-\(key)")
    }
    /// The same, by the place in its chain that the store's session has.
    static func image(at place: RegistryFile.Place, in directory: FilePath) -> FilePath {
        directory.appending("place-\(place.id)-\(place.index)")
    }
    static func shown(_ number: Int, in directory: FilePath) -> FilePath {
        directory.appending("shown-\(number)")
    }

    /// Reads a recording that is complete.
    init(_ directory: FilePath) throws {
        self.directory = directory
        log = try WriteLog(
            of: OwnedDescriptor.open(Self.log(in: directory), .readOnly),
            deviceSize: UInt64(CutDisk.size << 20))
        truth = try JSONDecoder().decode(
            Truth.self, from: Data(Files.read(Self.truth(in: directory))))
    }

    /// A replay from the log's beginning.
    func replay(seed: UInt64) throws -> Replay {
        Replay(
            log, in: try OwnedDescriptor.open(Self.log(in: directory), .readOnly),
            base: try Files.read(Self.base(in: directory), limit: CutDisk.size << 20),
            parts: CutDisk.parts, seed: seed)
    }

    /// What the device held when this store was armed; nil for a store that was armed after a cut.
    func image(of key: StoreKey) throws -> [UInt8]? {
        try contents(Self.image(of: key, in: directory))
    }

    /// What the device is put back to; nil for a place that nothing was kept of.
    func image(at place: RegistryFile.Place) throws -> [UInt8]? {
        try contents(Self.image(at: place, in: directory))
    }

    /// What a device under an overlay showed once.
    func shown(_ number: Int) throws -> [UInt8]? {
        try contents(Self.shown(number, in: directory))
    }

    private func contents(_ path: FilePath) throws -> [UInt8]? {
        guard Files.exists(path) else { return nil }
        return try Files.read(path, limit: CutDisk.Slice.origin.size << 20)
    }

    /// The stores that were armed over writes to the device that a power cut could still take back.
    var armedTooEarly: [StoreKey] {
        log.entries.indices.compactMap { index in
            guard let text = log.entries[index].mark, case .armed(let key) = Mark(text) else {
                return nil
            }
            let count = log.unflushed(at: index, in: CutDisk.parts[0], of: CutDisk.parts)
            return count == 0 ? nil : key
        }
    }

    /// What was known last of the stores when the entry was logged.
    func mark(at entry: Int) -> Mark? {
        marks(at: entry).last {
            if case .deleting = $0 { false } else { true }
        }
    }

    /// What a device under an overlay is then.
    func over(at entry: Int) -> Over? {
        if case .over(let over) = mark(at: entry) { over } else { nil }
    }

    private func marks(at entry: Int) -> [Mark] {
        log.entries[...entry].compactMap { $0.mark.flatMap { Mark($0) } }
    }

    /// The stores whose sessions may be gone by then.
    func deleting(at entry: Int) -> Set<StoreKey> {
        Set(
            marks(at: entry).compactMap {
                if case .deleting(let key) = $0 { key } else { nil }
            })
    }

    /// The stores that had become sessions by then, without those that may be gone.
    func closed(at entry: Int) -> Set<StoreKey> {
        let closed: Set<StoreKey> =
            switch mark(at: entry) {
            case nil, .deleting, .over: []
            case .deactivated: truth.sessions
            case .armed(let now), .mounted(let now):
                truth.sessions.filter { $0.activation != now.activation || $0.store < now.store }
            }
        return closed.subtracting(deleting(at: entry))
    }
}
