import Block
import FoundationEssentials
import SystemPackage

/// As much of registry.json as a power cut is judged by.
struct RegistryFile: Decodable {
    struct Activation: Decodable {
        let id: String
        let name: String
        let state: State

        var key: StoreKey { StoreKey(activation: id, store: state.store.number) }
        var origin: FilePath { FilePath("/dev/mapper/dmsnap-\(name)") }
    }

    struct State: Decodable {
        struct Store: Decodable {
            let number: Int
        }

        struct Merge: Decodable {
            let session: String
            let isRunning: Bool
        }

        let name: String
        let store: Store
        let session: String?
        let merge: Merge?
    }

    let activations: [Activation]

    /// The only activation there can be; nil if there is none.
    static func activation() throws -> Activation? {
        let path = CutDisk.registry.appending("registry.json")
        guard Files.exists(path) else { return nil }
        return try JSONDecoder().decode(Self.self, from: Data(Files.read(path))).activations.first
    }
}

/// As much of session.json.
struct SessionFile: Decodable {
    let name: String
    let activation: String
    let store: Int
    let state: String
    let continues: String?

    var key: StoreKey { StoreKey(activation: activation, store: store) }
    var directory: FilePath { CutDisk.sessions.appending(name) }

    init(_ name: String) throws {
        let path = CutDisk.sessions.appending(name).appending("session.json")
        self = try JSONDecoder().decode(Self.self, from: Data(Files.read(path)))
    }

    static func all() throws -> [SessionFile] {
        try Files.list(CutDisk.sessions).filter { $0.hasSuffix("Z") || $0.contains("Z-") }
            .map { try SessionFile($0) }
    }
}
