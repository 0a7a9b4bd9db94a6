/// The checks that the kernel doesn't make of an entry.
struct EntryRules {
    let layout: AreaLayout
    let originChunks: UInt64
    let storeChunks: UInt64

    func fault(in entry: ExceptionEntry) -> EntryFault? {
        if entry.originChunk >= originChunks {
            return .originChunkPastEnd(originChunks: originChunks)
        }
        if entry.storedChunk >= storeChunks {
            return .storedChunkPastEnd(storeChunks: storeChunks)
        }
        return layout.isData(entry.storedChunk) ? nil : .storedChunkIsMetadata
    }
}
