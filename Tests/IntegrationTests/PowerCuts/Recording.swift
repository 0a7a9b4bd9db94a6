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

        var description: String {
            switch self {
            case .armed(let key): "armed:\(key.activation):\(key.store)"
            case .mounted(let key): "mounted:\(key.activation):\(key.store)"
            case .deleting(let key): "deleting:\(key.activation):\(key.store)"
            case .deactivated: "deactivated"
            }
        }

        init?(_ text: String) {
            let words = text.split(separator: ":")
            if words == ["deactivated"] {
                self = .deactivated
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

    /// Where its files are: `base`, `log`, `sessions.json`, and `image-…` for each store.
    let directory: FilePath
    let log: WriteLog
    /// The stores that became sessions, without those that were deleted.
    let sessions: Set<StoreKey>

    static func base(in directory: FilePath) -> FilePath { directory.appending("base") }
    static func log(in directory: FilePath) -> FilePath { directory.appending("log") }
    static func sessions(in directory: FilePath) -> FilePath {
        directory.appending("sessions.json")
    }
    static func image(of key: StoreKey, in directory: FilePath) -> FilePath {
        directory.appending("image-\(key)")
    }

    /// Reads a recording that is complete.
    init(_ directory: FilePath) throws {
        self.directory = directory
        log = try WriteLog(
            of: OwnedDescriptor.open(Self.log(in: directory), .readOnly),
            deviceSize: UInt64(CutDisk.size << 20))
        sessions = try JSONDecoder().decode(
            Set<StoreKey>.self, from: Data(Files.read(Self.sessions(in: directory))))
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
        let path = Self.image(of: key, in: directory)
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
            case nil, .deleting: []
            case .deactivated: sessions
            case .armed(let now), .mounted(let now):
                sessions.filter { $0.activation != now.activation || $0.store < now.store }
            }
        return closed.subtracting(deleting(at: entry))
    }
}
