import Block
import FoundationEssentials
import SystemPackage

/// As much of registry.json as a power cut is judged by.
struct RegistryFile: Decodable {
    struct Activation: Decodable {
        struct Policy: Decodable {
            let base: Place
            let keep: Int
            let isDue: Bool
            let roundTrips: [[Int]]
        }

        let id: String
        let name: String
        let path: String
        let chain: Place
        let state: State
        let restorePolicy: Policy?

        var key: StoreKey { StoreKey(activation: id, store: state.store.number) }
        var origin: FilePath { FilePath("/dev/mapper/dmsnap-\(name)") }

        /// Whether it is what it is put back to, and no session is about to go.
        var isBack: Bool {
            guard let restorePolicy else { return true }
            return state.name == "armed" && !restorePolicy.isDue
                && restorePolicy.roundTrips.count <= restorePolicy.keep
        }
    }

    /// A place in a chain.
    struct Place: Decodable {
        let id: String
        let index: Int
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
        /// What is written over the device was begun to be written to it.
        let committing: Bool?
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
