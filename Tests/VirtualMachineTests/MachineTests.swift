import Foundation
import SystemPackage
import Testing
import VirtualMachine

/// Boots the machine for real. Needs the package user-mode-linux, but neither root nor a
/// device-mapper of the host's.
@Suite(.serialized, .enabled(if: FileManager.default.fileExists(atPath: "/usr/lib/uml/modules")))
struct MachineTests {
    private let directory: TemporaryDirectory
    private var machine = Machine()

    init() throws {
        directory = try TemporaryDirectory()
        machine.output = .collect
        machine.timeLimit = .seconds(120)
        machine.disks = [
            Disk("origin", at: directory.path.appending("origin"), size: .mebibytes(64)),
            Disk("root", at: directory.path.appending("root"), size: .mebibytes(256)),
        ]
    }

    @Test("the command's streams and status come back as they are")
    func streams() async throws {
        let script = #"head -c 1000003 /dev/zero | tr '\0' '\r'; printf 'a\0\377\n' >&2; exit 3"#
        let outcome = try await machine.run(.script(script))
        #expect(outcome.end == .exited(3))
        #expect(outcome.findings.isEmpty)
        #expect(outcome.output == [UInt8](repeating: 13, count: 1_000_003))
        #expect(outcome.errorOutput == [97, 0, 255, 10])
    }

    @Test("an exit status of 137 is not a SIGKILL")
    func signals() async throws {
        let signaled = try await machine.run(.script("kill -KILL $$"))
        #expect(signaled.end == .signaled(9))
        let exited = try await machine.run(.arguments(["sh", "-c", "exit 137"]))
        #expect(exited.end == .exited(137))
    }

    @Test("what was on the disks at a crash is there at the next boot, the root's changes too")
    func crash() async throws {
        var machine = machine
        machine.systemDisk = "root"
        let writing = """
            echo whole | dd of=/dev/vm/origin oflag=direct conv=sync bs=4096 status=none
            echo kept >/etc/kept
            sync
            echo seen >/vm/seen
            vm-signal written
            sleep 1000
            """
        machine.share = directory.path
        let running = try machine.boot(.script(writing))
        try await running.signal("written")
        let seen = try String(
            contentsOfFile: directory.path.appending("seen").string, encoding: .utf8)
        #expect(seen == "seen\n")
        running.kill()
        let crashed = await running.outcome()
        #expect(crashed.end == .killed)
        #expect(crashed.findings.isEmpty)

        let reading = "head -c 6 /dev/vm/origin; cat /etc/kept; ls /dev/mapper"
        let outcome = try await machine.run(.script(reading))
        #expect(outcome.outputText == "whole\nkept\ncontrol\n")
        #expect(outcome.succeeded)
    }

    @Test("a signal that never comes is told from a machine that ended")
    func noSignal() async throws {
        let running = try machine.boot(.arguments(["true"]))
        await #expect(throws: MachineError.self) { try await running.signal("never") }
        #expect(await running.outcome().end == .exited(0))
    }

    @Test("a device that is left suspended fails a run whose command succeeded")
    func suspended() async throws {
        let script = """
            dmsetup create a --table "0 2048 linear /dev/vm/origin 0"
            dmsetup suspend a
            """
        let outcome = try await machine.run(.script(script))
        #expect(outcome.end == .exited(0))
        #expect(outcome.findings.map(\.kind) == [.suspended])
        #expect(outcome.exitStatus == Outcome.kernelFailure)
    }

    @Test("the time limit ends a machine that hangs")
    func timeLimit() async throws {
        var machine = machine
        machine.timeLimit = .seconds(6)
        let outcome = try await machine.run(.arguments(["sleep", "1000"]))
        #expect(outcome.end == .timeLimit(.seconds(6)))
        #expect(outcome.exitStatus == Outcome.timeLimitReached)
    }
}
