import Glibc
import SystemPackage
import Testing

@testable import Block

@Suite struct SecretTests {
    private func secret(_ bytes: [UInt8]) -> Secret {
        unsafe bytes.withUnsafeBytes { unsafe Secret(copying: $0) }
    }

    private func bytes(_ secret: Secret) -> [UInt8] {
        unsafe secret.withBytes { unsafe Array($0) }
    }

    @Test("It has the bytes that were read, no more than there is room for, and a zero behind them")
    func reading() throws {
        let ends = try FileDescriptor.pipe()
        defer { try? ends.readEnd.close() }
        try ends.writeEnd.closeAfter { _ = try ends.writeEnd.writeAll([1, 2, 3, 4, 5]) }
        let secret = Secret(capacity: 4)
        #expect(try secret.read(from: ends.readEnd, most: 1) == 1)
        #expect(try secret.read(from: ends.readEnd, most: 1) == 1)
        #expect(bytes(secret) == [1, 2])
        #expect(try secret.read(from: ends.readEnd) == 2)
        #expect(try secret.read(from: ends.readEnd) == 0)
        #expect(bytes(secret) == [1, 2, 3, 4])
        let end = unsafe secret.withBytes { bytes in
            unsafe bytes.baseAddress?.load(fromByteOffset: 4, as: UInt8.self)
        }
        #expect(end == 0)
    }

    @Test("What is taken off is gone from memory, too")
    func removing() {
        let secret = secret([7, 8, 9])
        secret.removeLast()
        #expect(bytes(secret) == [7, 8] && secret.last == 8)
        let behind = unsafe secret.withBytes { bytes in
            unsafe bytes.baseAddress?.load(fromByteOffset: 2, as: UInt8.self)
        }
        #expect(behind == 0)
        secret.removeAll()
        secret.removeLast()
        #expect(secret.count == 0 && secret.last == nil)
        let rest = unsafe secret.withBytes { unsafe $0.baseAddress?.load(as: UInt16.self) }
        #expect(rest == 0)
    }

    @Test("Two are the same if all their bytes are")
    func same() {
        #expect(secret([1, 2]).isSame(as: secret([1, 2])))
        #expect(!secret([1, 2]).isSame(as: secret([1, 3])))
        #expect(!secret([1, 2]).isSame(as: secret([1, 2, 3])))
        #expect(secret([]).isSame(as: secret([])))
        #expect(secret([1, 0]).contains(0) && !secret([1]).contains(0))
    }

    @Test("A child process has none of it, and no core dump has its pages")
    func elsewhere() throws {
        let secret = secret([42, 43])
        let address = unsafe secret.withBytes { UInt(bitPattern: $0.baseAddress) }
        let maps = try text("/proc/self/smaps")
        // VmFlags of its mapping: dd, "do not include area into core dump"; wf, "wipe on fork".
        let mine = try #require(maps.firstRange(of: String(address, radix: 16) + "-"))
        let flags = try #require(maps[mine.upperBound...].firstMatch(of: /VmFlags: (.*)\n/))
        let words = flags.1.split(separator: " ")
        #expect(words.contains("dd") && words.contains("wf"))
        withExtendedLifetime(secret) {}
    }
}
