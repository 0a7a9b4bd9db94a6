public import Block

/// An exception store whose old contents lie elsewhere: a header and areas in a file of their own, that
/// name chunks of a device which that file is the beginning of.
///
/// Nothing can be added to it: what the kernel would hand out lies behind the device's end.
public struct StoreIndex: Sendable {
    /// The file's length, in bytes: the header, and every area with the one that ends the list.
    public let head: ByteCount
    /// In bytes: how much comes behind it on the device, to the end of the highest chunk that an entry
    /// names.
    public let kept: ByteCount

    private let exceptions: ExceptionTable
    private let layout: AreaLayout

    /// - Parameter exceptions: What is kept; stored chunks count from the file's end.
    /// - Throws: `sizeOverflow` where the device would have more than 2⁶³ − 1 bytes.
    public init(_ exceptions: ExceptionTable) throws(ExceptionStoreError) {
        let size = exceptions.chunkSize
        layout = AreaLayout(chunkSize: size)
        let areas = layout.areas(forExceptions: UInt64(exceptions.count))
        let kept = exceptions.storedEnd
        guard let last = layout.chunk(ofArea: areas - 1), let head = size.offset(of: last + 1)
        else { throw .sizeOverflow }
        let (whole, overflow) = head.addingReportingOverflow(kept)
        guard !overflow, whole <= UInt64(Int64.max) else { throw .sizeOverflow }
        self.head = ByteCount(head)
        self.kept = ByteCount(kept)
        self.exceptions = exceptions
    }

    /// Writes the header and the areas, and gives the file its length.
    ///
    /// - Parameter file: Just made: what isn't written has to be zeros.
    /// - Throws: `system`.
    public func write(to file: borrowing OwnedDescriptor) throws(ExceptionStoreError) {
        let first = head.bytes >> UInt64(exceptions.chunkSize.byteShift)
        var header = [UInt8](repeating: 0, count: StoreHeader.size)
        var span = header.mutableSpan
        _ = StoreHeader(chunkSize: exceptions.chunkSize).write(into: &span)
        do {
            try file.resize(to: head)
            try file.write(header.span, at: 0)
            var areas: UInt64 = 0
            var area: [UInt8] = []
            for run in exceptions.runs {
                for index in 0..<run.count {
                    append(
                        ExceptionEntry(
                            originChunk: run.originChunk + index,
                            storedChunk: first + run.storedChunk + index), to: &area)
                    guard UInt64(area.count) == exceptions.chunkSize.bytes.bytes else { continue }
                    try file.write(area.span, at: start(ofArea: areas))
                    areas += 1
                    area.removeAll(keepingCapacity: true)
                }
            }
            if !area.isEmpty { try file.write(area.span, at: start(ofArea: areas)) }
        } catch {
            throw .system(error)
        }
    }

    private func append(_ entry: ExceptionEntry, to area: inout [UInt8]) {
        let place = area.count
        area.append(contentsOf: repeatElement(0, count: ExceptionEntry.size))
        var span = area.mutableSpan
        _ = entry.write(into: &span, at: place)
    }

    /// In bytes; nothing overflows, since the head has room for it.
    private func start(ofArea number: UInt64) -> UInt64 {
        (1 + number * layout.stride) << UInt64(exceptions.chunkSize.byteShift)
    }
}
