import Block
import Restore
import Synchronization
import SystemPackage

/// Progress on standard error: one line that changes on a terminal, a line a phase elsewhere.
final class ProgressPrinter: Sendable {
    private let isInteractive: Bool
    private let start = Mutex<(phase: RestorePhase, at: ContinuousClock.Instant)?>(nil)

    init(isInteractive: Bool) {
        self.isInteractive = isInteractive
    }

    private func title(_ phase: RestorePhase) -> String {
        switch phase {
        case .verifying: "reading and checking"
        case .writing: "writing"
        case .synchronizing: "waiting for the disk"
        case .readingBack: "reading back"
        }
    }

    func show(_ progress: RestoreProgress) {
        if isInteractive {
            write("\r\u{1b}[K\(line(progress, after: elapsed(progress.phase)))")
        } else if progress.bytesDone == 0 {
            write("\(title(progress.phase)): \(ByteCount(progress.bytesTotal).formatted)\n")
        }
    }

    /// How many files were looked at; nobody knows of how many.
    func show(files: Int) {
        if isInteractive { write("\r\u{1b}[Kcomparing: \(files) files") }
    }

    /// How long the phase has been going on.
    private func elapsed(_ phase: RestorePhase) -> Duration {
        let now = ContinuousClock.now
        return start.withLock { start in
            if let start, start.phase == phase { return now - start.at }
            start = (phase, now)
            return .zero
        }
    }

    /// The share that is done and, once that means something, the rate and the time left.
    func line(_ progress: RestoreProgress, after elapsed: Duration) -> String {
        let done = progress.bytesDone
        var line = "\(title(progress.phase)): \(Percent.text(done, of: progress.bytesTotal))"
        let seconds = elapsed / .seconds(1)
        guard seconds >= 0.5, done > 0, done <= progress.bytesTotal else { return line }
        let rate = Double(done) / seconds
        line += ", \(ByteCount(UInt64(rate)).formatted)/s"
        let left = Double(progress.bytesTotal - done) / rate
        line += left < 90 ? ", \(Int(left.rounded(.up))) s left" : ", \(Int(left / 60)) min left"
        return line
    }

    func end() {
        if isInteractive { write("\r\u{1b}[K") }
    }

    private func write(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
    }
}
