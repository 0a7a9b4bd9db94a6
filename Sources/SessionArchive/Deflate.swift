internal import CDeflate
internal import CIsal
internal import CZlib
internal import Glibc

/// A compressor's memory; one call at a time uses it.
///
/// It is ISA-L's, on its level 1: four to six times as fast as zlib's, for as many bytes within three
/// in a hundred. Level 0 makes 5 to 12 in a hundred more of them, level 2 one less and is no faster,
/// and level 3 is as slow as zlib.
@safe final class Compressor {
    /// How many bytes are compressed by themselves.
    ///
    /// Where there is nothing before them, ISA-L's loop for x86 looks up the third byte by a hash of
    /// the state's address: the same contents would now and then become other bytes. So few go through
    /// its other loop, and after them there is something.
    private static let beginning = 4

    private let state: UnsafeMutablePointer<isal_zstream>
    private let levelBuffer: UnsafeMutablePointer<UInt8>

    /// Nil where there is no memory.
    init?() {
        guard let state = unsafe malloc(MemoryLayout<isal_zstream>.size) else { return nil }
        guard let levelBuffer = unsafe malloc(CISAL_LEVEL_1_BUFFER) else {
            unsafe free(state)
            return nil
        }
        unsafe self.state = unsafe state.assumingMemoryBound(to: isal_zstream.self)
        unsafe self.levelBuffer = unsafe levelBuffer.assumingMemoryBound(to: UInt8.self)
    }

    deinit {
        unsafe free(state)
        unsafe free(levelBuffer)
    }

    /// Compresses to a raw DEFLATE stream; nil where it would not fit into `output`, or would leave
    /// fewer than eight bytes of it.
    ///
    /// What it becomes depends on the contents and the length of `output` alone.
    func compress(_ contents: Span<UInt8>, into output: inout MutableSpan<UInt8>) -> Int? {
        unsafe output.withUnsafeMutableBufferPointer { output in
            unsafe contents.withUnsafeBufferPointer { contents in
                unsafe isal_deflate_init(state)
                unsafe state.pointee.level = 1
                unsafe state.pointee.level_buf = levelBuffer
                unsafe state.pointee.level_buf_size = UInt32(CISAL_LEVEL_1_BUFFER)
                unsafe state.pointee.next_in = UnsafeMutablePointer(mutating: contents.baseAddress)
                unsafe state.pointee.next_out = output.baseAddress
                // A section's lengths fit into 32 bits.
                unsafe state.pointee.avail_out = UInt32(output.count)
                var rest = contents.count
                if rest > Self.beginning {
                    rest -= Self.beginning
                    unsafe state.pointee.flush = UInt16(SYNC_FLUSH)
                    guard pass(Self.beginning, to: ZSTATE_NEW_HDR) else { return nil }
                }
                unsafe state.pointee.flush = UInt16(NO_FLUSH)
                unsafe state.pointee.end_of_stream = 1
                guard pass(rest, to: ZSTATE_END) else { return nil }
                return unsafe Int(state.pointee.total_out)
            }
        }
    }

    /// Compresses the next bytes; false where the output is full before all of them are in it.
    private func pass(_ count: Int, to end: isal_zstate_state) -> Bool {
        unsafe state.pointee.avail_in = UInt32(count)
        guard unsafe isal_deflate(state) == COMP_OK else { return false }
        return unsafe state.pointee.avail_in == 0 && state.pointee.internal_state.state == end
    }
}

/// A decompressor's memory; one call at a time uses it.
///
/// It is not zlib's: a block is decompressed at once from memory to memory, and libdeflate does that
/// twice as fast.
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

/// zlib's decompressor, for a second opinion of what was compressed; one call at a time uses it.
///
/// Almost everybody else reads DEFLATE with it, and it takes less than libdeflate does: a count of
/// codes that RFC 1951 doesn't have is an error here alone.
@safe final class ZlibDecompressor {
    private let state: UnsafeMutablePointer<z_stream>

    /// Nil where there is no memory.
    init?() {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: z_stream())
        // Raw, as RFC 1951 has it: a section's header has the checksum and the length already.
        let result = unsafe inflateInit2_(
            state, -MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else {
            unsafe state.deallocate()
            return nil
        }
    }

    deinit {
        unsafe inflateEnd(state)
        unsafe state.deallocate()
    }

    /// The same as `Decompressor.decompress`.
    func decompress(_ payload: Span<UInt8>, into output: inout MutableSpan<UInt8>) -> Bool {
        unsafe output.withUnsafeMutableBufferPointer { output in
            unsafe payload.withUnsafeBufferPointer { payload in
                unsafe inflateReset(state)
                unsafe state.pointee.next_in = UnsafeMutablePointer(mutating: payload.baseAddress)
                unsafe state.pointee.avail_in = UInt32(payload.count)
                unsafe state.pointee.next_out = output.baseAddress
                unsafe state.pointee.avail_out = UInt32(output.count)
                return unsafe inflate(state, Z_FINISH) == Z_STREAM_END
                    && state.pointee.avail_in == 0 && state.pointee.avail_out == 0
            }
        }
    }
}
