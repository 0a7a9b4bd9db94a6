import Block
import ExceptionStore
import StoreTesting
import SystemPackage

/// Reads a store's bytes through a file.
func contents(
    of image: StoreImage, originChunks: Int = 1000, expecting: ChunkSize? = nil
) throws -> StoreContents {
    try contents(
        of: image.bytes, originSize: UInt64(originChunks * image.chunkBytes), expecting: expecting)
}

func contents(
    of bytes: [UInt8], originSize: UInt64, expecting: ChunkSize? = nil
) throws -> StoreContents {
    let directory = try TemporaryDirectory()
    let file = try directory.file("store", bytes)
    return try contents(at: file, originSize: originSize, expecting: expecting)
}

func contents(
    at file: FilePath, originSize: UInt64, expecting: ChunkSize? = nil
) throws -> StoreContents {
    let store = try OwnedDescriptor.open(file, .readOnly)
    return try StoreContents.read(store, originSize: ByteCount(originSize), expecting: expecting)
}

func chunkSize(_ bytes: UInt64) throws -> ChunkSize {
    try ChunkSize(ByteCount(bytes))
}

/// Entries as the kernel makes them when nothing is lost: old chunk 3 × i, new chunks upwards.
func plainEntries(_ count: Int, perArea: Int) -> [(old: UInt64, new: UInt64)] {
    (0..<count).map { (old: UInt64(3 * $0), new: UInt64(2 + $0 + $0 / perArea)) }
}
