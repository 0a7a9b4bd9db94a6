import Block
import ExceptionStore
import Restore
import StoreTesting
import SystemPackage

/// Sessions of one origin, made by the model of the kernel, their stores in files.
struct Chain {
    let directory: TemporaryDirectory
    /// The origin before each session, and after the last one.
    private(set) var states: [[UInt8]]
    private(set) var stores: [FilePath] = []
    private(set) var chunkBytes: [Int] = []

    init(origin: [UInt8]) throws {
        directory = try TemporaryDirectory()
        states = [origin]
    }

    var originSize: UInt64 { UInt64(states[0].count) }

    /// Adds a session; `body` writes to the origin.
    mutating func session(
        chunkBytes: Int, seed: UInt64, _ body: (inout SnapshotModel) -> Void
    ) throws {
        var model = SnapshotModel(
            origin: states[states.count - 1], chunkBytes: chunkBytes, seed: seed)
        body(&model)
        states.append(model.origin)
        stores.append(try directory.file("store-\(stores.count)", model.image.bytes))
        self.chunkBytes.append(chunkBytes)
    }

    /// The stores of this session and all later ones.
    func sources(from session: Int = 0) throws -> [any ChunkSource] {
        try (session..<stores.count).map {
            try ClosedStore(
                path: stores[$0], originSize: ByteCount(originSize),
                expecting: ChunkSize(ByteCount(UInt64(chunkBytes[$0]))))
        }
    }

    /// A file with what the origin is after the last session.
    func target() throws -> FilePath {
        try directory.file("target", states[states.count - 1])
    }

    /// One session of 40 chunks of 4 KiB, of which every second one was written.
    static func simple() throws -> Chain {
        var generator = SeededGenerator(seed: 99)
        var chain = try Chain(origin: generator.bytes(40 * 4096))
        try chain.session(chunkBytes: 4096, seed: 7) { model in
            for chunk in stride(from: 0, to: 40, by: 2) { model.write([0], at: chunk * 4096) }
        }
        return chain
    }
}

func open(_ path: FilePath) throws -> OwnedDescriptor {
    try OwnedDescriptor.open(path, .readWrite)
}
