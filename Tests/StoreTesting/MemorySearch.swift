internal import Glibc
internal import SystemPackage

/// A secret that this process is to forget, and the search for it in everything that the process
/// has written to memory.
///
/// Only what it becomes with some bits of each byte turned is kept here: what is found is somebody
/// else's.
public struct MemorySearch: Sendable {
    private static let turn: UInt8 = 0x5a
    private static let length = 48
    /// A part of it is as good as all.
    private static let part = 16
    private let turned: [UInt8]

    /// A new secret: letters.
    public init() {
        turned = (0..<Self.length).map { _ in UInt8.random(in: 0x41...0x5a) ^ Self.turn }
    }

    /// Lends the secret itself, and overwrites it.
    public func lend<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.length, alignment: 1)
        defer {
            if let start = buffer.baseAddress { unsafe explicit_bzero(start, Self.length) }
            unsafe buffer.deallocate()
        }
        for index in 0..<Self.length { unsafe buffer[index] = turned[index] ^ Self.turn }
        return try unsafe body(UnsafeRawBufferPointer(buffer))
    }

    /// How many mappings have a part of the secret somewhere.
    public func found() throws -> Int {
        let memory = try FileDescriptor.open(FilePath("/proc/self/mem"), .readOnly)
        defer { try? memory.close() }
        return try Self.writable().count { try isFound(in: $0, memory) }
    }

    private func isFound(in range: Range<UInt64>, _ memory: FileDescriptor) throws -> Bool {
        let size = 1 << 20
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { unsafe buffer.deallocate() }
        var offset = range.lowerBound
        while offset < range.upperBound {
            let room = unsafe UnsafeMutableRawBufferPointer(
                rebasing: buffer[..<Int(min(UInt64(size), range.upperBound - offset))])
            // It is itself in memory, and has what is kept here turned back.
            if let start = buffer.baseAddress { unsafe explicit_bzero(start, size) }
            // Other tests' mappings come and go.
            guard
                let count = try? unsafe memory.read(
                    fromAbsoluteOffset: Int64(offset), into: room), count > 0
            else { return false }
            // At once: a copy of the secret would be found as one.
            for index in 0..<count { unsafe room[index] ^= Self.turn }
            for start in stride(from: 0, to: Self.length, by: Self.part)
            where unsafe has(start, in: UnsafeRawBufferPointer(rebasing: room[..<count])) {
                return true
            }
            if offset + UInt64(count) >= range.upperBound || count < room.count { break }
            // One that lies across two pieces is seen in the second.
            offset += UInt64(count - Self.part)
        }
        return false
    }

    /// Whether a part of what is kept, from `start` on, is in some memory.
    private func has(_ start: Int, in memory: UnsafeRawBufferPointer) -> Bool {
        unsafe turned.withUnsafeBytes { turned in
            guard let first = turned.baseAddress, var place = memory.baseAddress else {
                return false
            }
            let wanted = unsafe first + start
            let end = unsafe place + memory.count
            while let found = unsafe memchr(
                place, CInt(turned[start]), max(0, end - place - Self.part + 1))
            {
                if unsafe memcmp(found, wanted, Self.part) == 0 { return true }
                unsafe place = UnsafeRawPointer(found) + 1
            }
            return false
        }
    }

    /// The private memory that this process may write to.
    private static func writable() throws -> [Range<UInt64>] {
        let file = try FileDescriptor.open(FilePath("/proc/self/maps"), .readOnly)
        defer { try? file.close() }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = try unsafe buffer.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
            if count == 0 { break }
            bytes += buffer.prefix(count)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ", maxSplits: 2)
            let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard ends.count == 2, words[1].hasPrefix("rw"), words[1].hasSuffix("p") else {
                return nil
            }
            return ends[0]..<ends[1]
        }
    }
}
