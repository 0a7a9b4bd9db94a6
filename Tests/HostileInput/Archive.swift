import Block
import ExceptionStore
import SessionArchive
import SystemPackage

/// Whatever the bytes are: no trap, no memory beyond the limit, and what two readers say is the same.
enum ArchiveReading {
    private static let file = ScratchFile("archive")
    private static let memoryLimit = ByteCount(1 << 20)

    static func check(_ bytes: [UInt8]) {
        checkBoth(bytes)
        checkBoth(mended(bytes))
    }

    private static func checkBoth(_ bytes: [UInt8]) {
        file.fill(bytes)
        let isGood = checkReader()
        let isGoodStream = checkStream()
        // A reader from front to back sees everything. The other doesn't look at what is between
        // blocks, and refuses what takes too much memory.
        precondition(isGood || !isGoodStream || isTooLarge())
    }

    private static func checkReader() -> Bool {
        guard let reader = try? ArchiveReader(path: file.path, memoryLimit: memoryLimit) else {
            return false
        }
        let entries = reader.exceptions.entries
        precondition(
            zip(entries, entries.dropFirst()).allSatisfy { $0.originChunk < $1.originChunk })
        let size = Int(clamping: reader.chunkSize.bytes.bytes)
        var buffer = [UInt8](repeating: 0, count: min(size, 1 << 16))
        for entry in entries.prefix(64) {
            var span = buffer.mutableSpan
            try? reader.read(into: &span, at: entry.storedChunk * UInt64(size))
        }
        let result = try? reader.verify(options: ArchiveOptions(threads: 1, memory: 0))
        return result?.isWhole ?? false
    }

    private static func checkStream() -> Bool {
        do {
            _ = try file.read { try ArchiveStream.verify($0) }
            return true
        } catch {
            return false
        }
    }

    private static func isTooLarge() -> Bool {
        do {
            _ = try ArchiveReader(path: file.path, memoryLimit: memoryLimit)
            return false
        } catch {
            if case .tooLarge = error { return true }
            return false
        }
    }
}
