/// What dm-snapshot does to an origin and its store, without a kernel.
///
/// New chunks are handed out upwards past areas; exceptions are committed out of order, and some
/// never; the next area is zeroed before the entry that fills one is written; whatever isn't
/// written stays the rubbish that a reused store is full of.
public struct SnapshotModel: Sendable {
    /// The origin as it is now.
    public private(set) var origin: [UInt8]
    /// The store as it is now.
    public private(set) var image: StoreImage
    /// How many exceptions were committed.
    public private(set) var committed = 0

    private let lossy: Bool
    private var generator: SeededGenerator
    private var captured: Set<Int> = []
    private var nextFree = 2
    private var pending: [(old: Int, new: Int)] = []

    /// A snapshot just loaded.
    ///
    /// - Parameters:
    ///   - origin: The origin's contents.
    ///   - chunkBytes: The chunk size in bytes.
    ///   - lossy: Whether chunks are handed out now and then that are never committed.
    ///   - seed: For everything that is random.
    public init(origin: [UInt8], chunkBytes: Int, lossy: Bool = true, seed: UInt64) {
        self.origin = origin
        self.lossy = lossy
        generator = SeededGenerator(seed: seed)
        let data = (origin.count + chunkBytes - 1) / chunkBytes * (lossy ? 2 : 1)
        let chunks = 2 + data + data / (chunkBytes / 16) + 1
        image = StoreImage(
            chunkBytes: chunkBytes, chunks: chunks,
            filling: generator.bytes(chunks * chunkBytes))
        image.zero(chunkAt: 0)
        image.zero(chunkAt: chunkBytes)
        image.writeHeader()
    }

    /// Writes to the origin; the chunks that this changes first are kept.
    public mutating func write(_ bytes: [UInt8], at offset: Int) {
        guard !bytes.isEmpty else { return }
        let chunkBytes = image.chunkBytes
        for chunk in offset / chunkBytes...(offset + bytes.count - 1) / chunkBytes {
            capture(chunk)
        }
        commit()
        origin.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    /// Keeps a chunk whose write then never happens, as after a crash.
    public mutating func captureOnly(_ chunk: Int) {
        capture(chunk)
        commit()
    }

    /// Many writes of random places, sizes and contents.
    public mutating func writeAtRandom(_ writes: Int) {
        for _ in 0..<writes {
            let longest = Bool.random(using: &generator) ? 700 : origin.count / 3
            let length = Int.random(in: 1...max(1, longest), using: &generator)
            let offset = Int.random(in: 0..<origin.count, using: &generator)
            write(generator.bytes(min(length, origin.count - offset)), at: offset)
        }
        let chunks = (origin.count + image.chunkBytes - 1) / image.chunkBytes
        captureOnly(Int.random(in: 0..<chunks, using: &generator))
    }

    private mutating func capture(_ chunk: Int) {
        guard captured.insert(chunk).inserted else { return }
        let chunkBytes = image.chunkBytes
        if lossy, captured.count.isMultiple(of: 5) { takeFree() }
        let new = nextFree
        takeFree()
        // A short last chunk: what follows the origin's end stays as it was in the store.
        let range = chunk * chunkBytes..<min((chunk + 1) * chunkBytes, origin.count)
        image.setChunk(new, [UInt8](origin[range]))
        pending.append((chunk, new))
    }

    private mutating func takeFree() {
        nextFree += 1
        if (nextFree - 1).isMultiple(of: image.perArea + 1) { nextFree += 1 }
    }

    private mutating func commit() {
        pending.shuffle(using: &generator)
        for entry in pending {
            if (committed + 1).isMultiple(of: image.perArea) {
                image.zero(chunkAt: image.areaOffset((committed + 1) / image.perArea))
            }
            image.setEntry(committed, old: UInt64(entry.old), new: UInt64(entry.new))
            committed += 1
        }
        pending = []
    }
}
