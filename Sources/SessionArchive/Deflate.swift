internal import CDeflate
internal import CZlib

/// A compressor's memory; one call at a time uses it.
@safe final class Compressor {
    /// Raw, as RFC 1951 has it: a section's header has the checksum and the length already.
    fileprivate static let rawWindow = -MAX_WBITS

    private let state: UnsafeMutablePointer<z_stream>

    /// Nil where there is no memory.
    init?() {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: z_stream())
        let result = unsafe deflateInit2_(
            state, Z_BEST_SPEED, Z_DEFLATED, Self.rawWindow, MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY,
            ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else {
            unsafe state.deallocate()
            return nil
        }
    }

    deinit {
        unsafe deflateEnd(state)
        unsafe state.deallocate()
    }

    /// Compresses to a raw DEFLATE stream; nil where it would not fit into `output`.
    func compress(_ contents: Span<UInt8>, into output: inout MutableSpan<UInt8>) -> Int? {
        let result = unsafe state.pass(contents, &output) { stream in
            unsafe deflateReset(stream)
            return unsafe deflate(stream, Z_FINISH)
        }
        return result == Z_STREAM_END ? unsafe Int(state.pointee.total_out) : nil
    }
}

/// A decompressor's memory; one call at a time uses it.
///
/// It is not zlib's: a block is decompressed at once from memory to memory, and libdeflate does that
/// more than twice as fast.
@safe final class Decompressor {
    private let state: OpaquePointer

    /// Nil where there is no memory.
    init?() {
        guard let state = unsafe libdeflate_alloc_decompressor() else { return nil }
        unsafe self.state = unsafe state
    }

    deinit {
        unsafe libdeflate_free_decompressor(state)
    }

    /// Whether `payload` is, wholly, one raw DEFLATE stream for exactly as many bytes as `output`
    /// has.
    func decompress(_ payload: Span<UInt8>, into output: inout MutableSpan<UInt8>) -> Bool {
        var taken = 0
        let result = unsafe output.withUnsafeMutableBytes { output in
            unsafe payload.withUnsafeBytes { payload in
                // Without a place for the number of bytes written any other number is an error.
                unsafe libdeflate_deflate_decompress_ex(
                    state, payload.baseAddress, payload.count, output.baseAddress, output.count,
                    &taken, nil)
            }
        }
        return result == LIBDEFLATE_SUCCESS && taken == payload.count
    }
}

extension UnsafeMutablePointer<z_stream> {
    /// Lends both buffers to one call of zlib's; a section's lengths fit into its 32 bits.
    fileprivate func pass(
        _ input: Span<UInt8>, _ output: inout MutableSpan<UInt8>,
        _ body: (UnsafeMutablePointer<z_stream>) -> Int32
    ) -> Int32 {
        unsafe output.withUnsafeMutableBufferPointer { output in
            unsafe input.withUnsafeBufferPointer { input in
                unsafe pointee.next_in = UnsafeMutablePointer<UInt8>(
                    mutating: input.baseAddress)
                unsafe pointee.avail_in = UInt32(input.count)
                unsafe pointee.next_out = output.baseAddress
                unsafe pointee.avail_out = UInt32(output.count)
                return unsafe body(self)
            }
        }
    }
}
