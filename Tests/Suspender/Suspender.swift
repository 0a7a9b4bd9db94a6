import Block
import DeviceMapper
import Glibc
import SystemPackage

/// `Suspender NAME WAY…`: suspends a device-mapper device as dmsnap does, and does WAY under the
/// suspend. For the tests of what resumes it.
///
/// - `finish`: nothing. `fail`: throws. `die`: is killed. `kill-group`: its process group is killed.
/// - `block PATH`: reads a file that waits for the device, and so can't be killed.
/// - `time`: nothing, ten times; prints how long that took, with a guard and without, in µs.
@main
enum Suspender {
    struct Failure: Error {}

    static func main() {
        let words = CommandLine.arguments
        guard words.count > 2, let name = DeviceName(words[1]) else { exit(64) }
        do {
            try go(name, words)
        } catch {
            _ = try? FileDescriptor.standardError.writeAll("\(error)\n".utf8)
            exit(1)
        }
    }

    static func go(_ name: DeviceName, _ words: [String]) throws {
        let mapper = try KernelDeviceMapper()
        switch words[2] {
        case "time":
            let clock = ContinuousClock()
            let guarded = try clock.measure {
                for _ in 0..<10 { try mapper.standGuard(over: name).dismiss() }
            }
            let whole = try clock.measure { for _ in 0..<10 { try suspend(name, mapper) {} } }
            print("guard \(guarded / 10), all \(whole / 10)")
        case "finish": try suspend(name, mapper) {}
        case "fail": try suspend(name, mapper) { throw Failure() }
        case "die":
            try suspend(name, mapper) {
                say("suspended")
                kill(getpid(), SIGKILL)
            }
        case "kill-group":
            setpgid(0, 0)
            try suspend(name, mapper) {
                say("suspended")
                kill(0, SIGKILL)
            }
        case "block":
            try suspend(name, mapper) {
                say("suspended")
                _ = try Files.read(FilePath(words[3]))
            }
        default: exit(64)
        }
        say("resumed")
    }

    static func say(_ text: String) {
        print(text)
        fflush(nil)
    }

    static func suspend(
        _ name: DeviceName, _ mapper: KernelDeviceMapper, _ body: () throws -> Void
    ) throws {
        try mapper.inTransaction { transaction in
            try mapper.whileSuspended(name, in: transaction, body)
        }
    }
}
