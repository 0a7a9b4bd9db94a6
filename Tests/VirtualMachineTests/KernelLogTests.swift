import Testing
import VirtualMachine

@Suite struct KernelLogTests {
    @Test(
        "a log line that tells of a broken kernel fails the run",
        arguments: [
            ("[   12.340000] BUG: unable to handle page fault", KernelFinding.Kind.oops),
            ("[    2.000000] BUG: failure at fs/inode.c:12/iput()!", .oops),
            ("[    1.790000] Kernel panic - not syncing: sysrq triggered crash", .oops),
            ("[    1.790000] Oops: 0000 [#1] PREEMPT SMP", .oops),
            ("[    3.100000] WARNING: CPU: 0 PID: 7 at block/blk-core.c:1 f+0x1/0x2", .warning),
            ("[    3.1] WARNING: possible circular locking dependency detected", .locking),
            ("[   90.000000] rcu: INFO: rcu_sched self-detected stall on CPU", .locking),
            ("[  242.0] INFO: task mount:77 blocked for more than 120 seconds.", .blocked),
            ("[   70.0] vm: INFO: task 77 (mount) blocked for more than 60 seconds", .blocked),
            (
                "[   30.0] vm: the device a was suspended for more than 20 s; resuming it",
                .suspended
            ),
            ("[   30.0] vm: the device a b was left suspended", .suspended),
        ])
    func failing(_ line: String, _ kind: KernelFinding.Kind) {
        let log = KernelLog(text: "[    0.0] Linux version 6.1\n\(line)\n[   99.0] end\n")
        #expect(log.findings() == [KernelFinding(kind: kind, line: line)])
    }

    @Test(
        "a log line that is known to be harmless fails nothing",
        arguments: [
            "[    5.0] operation not supported error, dev ubdb, sector 0 op 0x9:(WRITE_ZEROES)",
            "Function not implemented",
            "[    1.2] epollctl add err fd 1, Operation not permitted",
            "[    3.1] systemd[1]: BUG: is a word in a unit's name",
            "[    3.1] debug: WARNING is a word",
            "[    3.1] INFO: lockdep is turned off.",
            "[    3.1] device-mapper: snapshots: Invalidating snapshot: Error reading.",
            "[    0.0] Unknown kernel command line parameters",
        ])
    func harmless(_ line: String) {
        #expect(KernelLog(text: line).findings().isEmpty)
    }

    @Test("an expected line fails nothing, and the others still do")
    func ignoring() {
        let log = KernelLog(text: "[ 1.0] BUG: expected\n[ 2.0] BUG: other\n")
        #expect(log.findings(ignoring: ["expected"]).map(\.line) == ["[ 2.0] BUG: other"])
    }

    @Test("the tail is the last lines")
    func tail() {
        #expect(KernelLog(text: "a\nb\r\nc\n").tail(2) == "b\nc")
    }
}
