import Block
import StoreTesting
import SystemPackage
import Testing

@testable import DmsnapCommands

/// What is typed at a prompt; the terminal itself and signals are tested on a real one.
@Suite struct TerminalTests {
    private func line(_ typed: [UInt8]) throws -> [UInt8]? {
        let ends = try FileDescriptor.pipe()
        defer { try? ends.readEnd.close() }
        try ends.writeEnd.closeAfter { _ = try ends.writeEnd.writeAll(typed) }
        return try Terminal.readLine(from: ends.readEnd).map { line in
            unsafe line.withBytes { unsafe Array($0) }
        }
    }

    @Test("A line is its bytes: two that are no UTF-8 are not the same")
    func bytes() throws {
        #expect(try line([0xff, 0x0a]) == [0xff])
        #expect(try line([0xfe, 0x0a]) == [0xfe])
        #expect(try line([0x61, 0xcc, 0x81, 0x0a]) != line([0xc3, 0xa1, 0x0a]))
    }

    @Test("A line ends at its newline or with the input, and nothing at all is no line")
    func ends() throws {
        #expect(try line(Array("one\ntwo\n".utf8)) == Array("one".utf8))
        #expect(try line(Array("one".utf8)) == Array("one".utf8))
        #expect(try line([0x0a]) == [])
        #expect(try line([]) == nil)
    }

    @Test("Nothing of what was typed is left in memory")
    func forgotten() throws {
        let secret = MemorySearch()
        let ends = try FileDescriptor.pipe()
        defer { try? ends.readEnd.close() }
        try ends.writeEnd.closeAfter {
            _ = try unsafe secret.lend { try unsafe ends.writeEnd.writeAll($0) }
        }
        #expect(try #require(try Terminal.readLine(from: ends.readEnd)).count == 48)
        #expect(try secret.found() == 0)
    }

    @Test("The end of a password that is too long is not waited for")
    func long() throws {
        let typed = [UInt8](repeating: 0x61, count: 2000)
        #expect(try #require(try line(typed)).count < 1000)
    }
}
