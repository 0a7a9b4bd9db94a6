import CLinux
import Glibc
import SystemPackage
import Testing

@testable import Block

/// What happens where the caller has closed standard input, output or error, in a process of its own.
@Suite struct StandardDescriptorsTests {
    private func report(_ way: String, closing: String) async throws -> [String] {
        let directory = try TemporaryDirectory()
        let tool = try Files.resolve("/proc/self/exe").removingLastComponent()
            .appending("Descriptors")
        let file = directory.file("report")
        // What isn't closed is a pipe or a file here, and nothing that the shell has made up.
        try await run(
            "sh", "-c",
            "exec \"$0\" \(way) \"$1\" < /etc/passwd > /dev/zero 2> /dev/zero \(closing)",
            tool.string, file.string)
        return try text(file).split(separator: "\n").map(String.init)
    }

    @Test("A program has all three, and is told which were closed")
    func program() async throws {
        #expect(
            try await report("program", closing: "0<&- 1>&- 2>&-").prefix(5) == [
                "closed [0, 1, 2]", "file true", "0 /dev/null 0", "1 /dev/null 1", "2 /dev/null 1",
            ])
        #expect(
            try await report("program", closing: "1>&-").prefix(5) == [
                "closed [1]", "file true", "0 /etc/passwd 0", "1 /dev/null 1", "2 /dev/zero 1",
            ])
        #expect(try await report("program", closing: "").first == "closed []")
    }

    @Test("In another's program what we open takes none of the three's numbers")
    func library() async throws {
        #expect(
            try await report("library", closing: "0<&- 1>&- 2>&-").prefix(5) == [
                "closed []", "file true", "0 none 3", "1 none 3", "2 none 3",
            ])
    }

    @Test("What anybody has opened without close-on-exec is not inherited, the three are")
    func inherited() async throws {
        #expect(try await report("program", closing: "").last == "inheritable true false true")
    }

    @Test("Without close_range(2) the descriptors are those that proc lists")
    func listed() throws {
        // What the fallback does, on numbers that nobody else here has.
        let base: CInt = 700
        let file = try OwnedDescriptor.open("/dev/null", .readOnly)
        for number in base..<base + 3 {
            #expect(dup2(file.descriptor.rawValue, number) == number)
        }
        #expect(clinux_each_open(base + 1, { close($0) }) == 0)
        #expect((base..<base + 3).map { fcntl($0, F_GETFD) == -1 } == [false, true, true])
        close(base)
    }
}
