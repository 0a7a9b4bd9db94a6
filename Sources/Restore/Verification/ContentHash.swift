internal import CXxhash

/// XXH3: fast enough to vanish beside the disk, and no two damaged reads look alike by chance.
///
/// For comparing what was read twice in one run; it is never kept on disk.
enum ContentHash {
    /// - Parameter seed: The hash of what comes before.
    static func of(_ bytes: Span<UInt8>, seed: UInt64 = 0) -> UInt64 {
        unsafe bytes.withUnsafeBytes { buffer in
            unsafe cxxhash_xxh3(buffer.baseAddress, buffer.count, seed)
        }
    }
}
