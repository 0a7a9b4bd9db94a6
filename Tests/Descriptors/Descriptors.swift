import Block
import Glibc
import SystemPackage

/// `Descriptors program|library FILE`: writes to FILE, which must not exist, what has become of
/// descriptors that the caller closed. For the tests that close them.
///
/// `program` opens them first, as a program does at its start; `library` doesn't. Then FILE's own
/// number, what 0 to 2 are, and what a program started in its place would inherit.
@main
enum Descriptors {
    static func main() throws {
        let words = CommandLine.arguments
        guard words.count == 3 else { exit(64) }
        let closed = words[1] == "program" ? StandardDescriptors.ensureOpen() : []
        let file = try OwnedDescriptor.create(FilePath(words[2]))
        let inherited = fcntl(file.descriptor.rawValue, F_DUPFD, 3)
        var text = "closed \(closed.sorted())\nfile \(file.descriptor.rawValue > 2)\n"
        for number in 0..<3 as Range<CInt> {
            let path = try? Files.resolve(FilePath("/proc/self/fd/\(number)"))
            let mode = fcntl(number, F_GETFL)
            text += "\(number) \(path.map { "\($0)" } ?? "none") \(mode & O_ACCMODE)\n"
        }
        text += "inheritable \(fcntl(inherited, F_GETFD) == 0)"
        StandardDescriptors.closeOthersOnExec()
        text += " \(fcntl(inherited, F_GETFD) == 0) \(fcntl(2, F_GETFD) & FD_CLOEXEC == 0)\n"
        try file.write(Array(text.utf8), at: 0)
    }
}
