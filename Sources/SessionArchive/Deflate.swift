internal import CDeflate

/// A compressor's memory; one call at a time uses it.
@safe final class Compressor {
    /// The level at which it is both faster and smaller than zlib's fastest.
    private static let level: Int32 = 1

    private let state: OpaquePointer

    /// Nil where there is no memory.
    init?() {
        guard let state = unsafe libdeflate_alloc_compressor(Self.level) else { return nil }
        unsafe self.state = state
    }

    deinit {
        unsafe libdeflate_free_compressor(state)
    }

    /// Compresses to a raw DEFLATE stream; nil where it would not fit into `output`.
    func compress(_ contents: Span<UInt8>, into output: inout MutableSpan<UInt8>) -> Int? {
        let length = unsafe output.withUnsafeMutableBytes { output in
            unsafe contents.withUnsafeBytes { contents in
                unsafe libdeflate_deflate_compress(
                    state, contents.baseAddress, contents.count, output.baseAddress, output.count)
            }
        }
        return length == 0 ? nil : length
    }
}

/// A decompressor's memory; one call at a time uses it.
@safe final class Decompressor {
    private let state: OpaquePointer

    /// Nil where there is no memory.
    init?() {
        guard let state = unsafe libdeflate_alloc_decompressor() else { return nil }
        unsafe self.state = state
    }

    deinit {
        unsafe libdeflate_free_decompressor(state)
    }

    /// Whether `payload` is, wholly, one raw DEFLATE stream for exactly as many bytes as `output`
    /// has.
    func decompress(_ payload: Span<UInt8>, into output: inout MutableSpan<UInt8>) -> Bool {
        unsafe output.withUnsafeMutableBytes { output in
            unsafe payload.withUnsafeBytes { payload in
                var used = 0
                let result = unsafe libdeflate_deflate_decompress_ex(
                    state, payload.baseAddress, payload.count, output.baseAddress, output.count,
                    &used, nil)
                return result == LIBDEFLATE_SUCCESS && used == payload.count
            }
        }
    }
}
