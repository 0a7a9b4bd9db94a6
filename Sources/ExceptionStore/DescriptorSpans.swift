package import Block

// The only place of this module and of those above it where spans become pointers for I/O.
extension OwnedDescriptor {
    /// Reads until the span is full or the file ends; returns the bytes read.
    package func read(
        into span: inout MutableSpan<UInt8>, at offset: UInt64
    ) throws(SystemError) -> Int {
        try unsafe span.withUnsafeMutableBytes { buffer throws(SystemError) in
            try unsafe self.read(into: buffer, at: offset)
        }
    }

    /// Writes all of the span.
    package func write(_ span: Span<UInt8>, at offset: UInt64) throws(SystemError) {
        try unsafe span.withUnsafeBytes { buffer throws(SystemError) in
            try unsafe self.write(buffer, at: offset)
        }
    }
}

extension OwnedDescriptor {
    /// Reads exactly as much as the span holds.
    func fill(
        _ span: inout MutableSpan<UInt8>, at offset: UInt64
    ) throws(ExceptionStoreError) {
        let wanted = span.count
        let got: Int
        do {
            got = try read(into: &span, at: offset)
        } catch {
            throw .system(error)
        }
        guard got == wanted else {
            throw .truncated(
                needed: ByteCount(offset &+ UInt64(wanted)), size: ByteCount(offset &+ UInt64(got)))
        }
    }

    /// Overwrites a range with zeros, a piece at a time.
    func zero(_ range: Range<UInt64>) throws(ExceptionStoreError) {
        let zeros = [UInt8](repeating: 0, count: Int(min(UInt64(range.count), 1 << 20)))
        var offset = range.lowerBound
        do {
            while offset < range.upperBound {
                let length = Int(min(UInt64(zeros.count), range.upperBound - offset))
                try write(zeros.span.extracting(first: length), at: offset)
                offset += UInt64(length)
            }
        } catch {
            throw .system(error)
        }
    }
}
