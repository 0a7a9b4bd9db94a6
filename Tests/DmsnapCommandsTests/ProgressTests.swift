import Restore
import Testing

@testable import DmsnapCommands

@Suite struct ProgressTests {
    private func line(_ done: UInt64, of total: UInt64, after elapsed: Duration) -> String {
        ProgressPrinter(isInteractive: true).line(
            RestoreProgress(phase: .writing, bytesDone: done, bytesTotal: total), after: elapsed)
    }

    @Test("A phase shows its share, and then its rate and the time that is left")
    func rate() {
        #expect(line(0, of: 100 << 20, after: .zero) == "writing: 0 %")
        #expect(line(10 << 20, of: 100 << 20, after: .milliseconds(100)) == "writing: 10 %")
        #expect(
            line(25 << 20, of: 100 << 20, after: .seconds(5))
                == "writing: 25 %, 5 MiB/s, 15 s left")
        #expect(
            line(1 << 20, of: 1 << 30, after: .seconds(1)) == "writing: 0 %, 1 MiB/s, 17 min left")
    }

    @Test("Nothing to do is all of it, and a phase that goes on past its end has no time left")
    func ends() {
        #expect(line(0, of: 0, after: .seconds(2)) == "writing: 100 %")
        #expect(line(100, of: 100, after: .seconds(2)).hasSuffix("0 s left"))
        #expect(line(200, of: 100, after: .seconds(2)) == "writing: 200 %")
    }
}
