import FoundationEssentials
import Glibc
import Lives
import StoreTesting
import Testing

/// Random lives of a device: after every step what there is must be what the model says, and every
/// session that is restored gives the exact bytes or says that it doesn't.
///
/// - `DMSNAP_LIVES=N`: that many lives; without it as many as are lived in a few seconds.
/// - `DMSNAP_SEED=S`: of the first one; without it another one each day.
/// - `DMSNAP_LIFE=HISTORY`: that one, as a failure prints it.
@Suite struct LifeTests {
    private let environment = ProcessInfo.processInfo.environment

    /// - Returns: why it is no good; nil if all is well.
    private func problem(_ history: History, _ figures: inout Figures) -> String? {
        do {
            var life = try Life(on: SimulatedMachine(history), seed: history.seed)
            try life.live(history.steps)
            figures += life.figures
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// This thread's processor time in seconds.
    private static func time() -> Int {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec
    }

    private func tell(_ first: UInt64, _ figures: Figures) {
        print("lives: DMSNAP_SEED=\(first): \(figures)")
        fflush(nil)
    }

    private func report(_ history: History, _ problem: String) {
        var none = Figures()
        let least = history.shrunk { self.problem($0, &none) != nil }
        let what = self.problem(least, &none) ?? problem
        Issue.record(
            """
            \(problem)
            DMSNAP_LIFE='\(history)'
            shrunk, to be kept:
                    ("\(what)", "\(least)"),
            """)
    }

    @Test("Whatever happens to a device, each of its sessions gives what it began with")
    func random() throws {
        if let text = environment["DMSNAP_LIFE"] {
            let history = try #require(History(text), "it is no history: \(text)")
            var figures = Figures()
            if let problem = problem(history, &figures) { report(history, problem) }
            return print("lives: \(figures)")
        }
        let first =
            environment["DMSNAP_SEED"].flatMap { UInt64($0) }
            ?? UInt64(Date().timeIntervalSince1970 / 86400) * 1_000_000
        let most = environment["DMSNAP_LIVES"].flatMap { UInt64($0) }
        let end = Self.time() + 8
        var figures = Figures()
        var failures = 0
        var seed = first
        while most.map({ seed < first + $0 }) ?? (Self.time() < end), failures < 3 {
            let history = History(seed: seed, sizes: SimulatedMachine.sizes)
            if let problem = problem(history, &figures) {
                report(history, problem)
                failures += 1
            }
            seed += 1
            if (seed - first).isMultiple(of: 500) { tell(first, figures) }
        }
        tell(first, figures)
    }

    @Test("What was found once stays mended", arguments: KeptLives.all.map(\.history))
    func kept(text: String) throws {
        let history = try #require(History(text))
        var figures = Figures()
        if let problem = problem(history, &figures) { report(history, problem) }
    }

    @Test("A history is the same after it was written down")
    func text() throws {
        for seed in 0..<100 as Range<UInt64> {
            let history = History(seed: seed, sizes: SimulatedMachine.sizes)
            #expect(History(history.description) == history)
        }
        for text in ["", "disk 1 2 3", "disk 1 2 3: fly", "disk 1 2 3: write -1", "x 1 2 3: write"]
        {
            #expect(History(text) == nil)
        }
    }

    @Test("A failing history is shrunk to the steps that it takes")
    func shrinking() {
        let steps = (0..<40).map { Step($0 == 7 ? .cut : $0 == 31 ? .rescue : .write, $0) }
        let history = History(isImage: false, size: 512, chunk: 512, seed: 1, steps: steps)
        let least = history.shrunk { one in
            one.steps.contains { $0.act == .cut } && one.steps.contains { $0.act == .rescue }
        }
        #expect(least.steps == [Step(.cut, 7), Step(.rescue, 31)])
    }
}
