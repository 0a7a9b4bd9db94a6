import FoundationEssentials
import Glibc
import Lives
import Testing

extension IntegrationTests {
    /// Random lives of a device, as the domain's are simulated, with the program on a real kernel.
    ///
    /// - `DMSNAP_LIVES=N`: that many.
    /// - `DMSNAP_SEED=S`: of the first one; without it another one each day.
    /// - `DMSNAP_LIFE=HISTORY`: that one.
    /// - `DMSNAP_SHRINK=1`: a failing one is lived again with fewer steps, until none can be left out.
    ///
    /// It takes a quarter of a minute each, so without one of them none is lived.
    @Suite struct Lives {
        private let environment = ProcessInfo.processInfo.environment

        private static let diagnosis = """
            cat /run/dmsnap/monitor.log; dmesg | tail -20; cat /proc/locks; losetup -l
            ls -l /proc/[0-9]*/fd 2> /dev/null | grep -B9 ' /dev/loop'
            ps -eo pid,ppid,stat,wchan:20,args | grep -v ' \\[.*\\]$'
            cat /var/lib/dmsnap/registry.json | tr -d '\\n ' | cut -c1-2000
            """

        private func problem(_ history: History, _ figures: inout Figures) -> String? {
            do {
                let machine = try RealMachine(history)
                let result = Result {
                    var life = try Life(on: machine, seed: history.seed)
                    try life.live(history.steps)
                    return life.figures
                }
                if case .failure = result {
                    print(try Shell.call(Self.diagnosis).out)
                }
                try machine.takeDown()
                figures += try result.get()
                return nil
            } catch {
                return "\(error)"
            }
        }

        private static let isWanted = ["DMSNAP_LIVES", "DMSNAP_LIFE"].contains {
            ProcessInfo.processInfo.environment[$0] != nil
        }

        @Test(
            "Whatever happens to a device, each of its sessions gives what it began with",
            .enabled(if: isWanted))
        func random() async throws {
            try await Rig.prepareMachine()
            try await sh("modprobe -a vfat nls_cp437 nls_ascii nls_iso8859-1 || true")
            let first =
                environment["DMSNAP_SEED"].flatMap { UInt64($0) }
                ?? UInt64(Date().timeIntervalSince1970 / 86400) * 1_000_000
            let count = environment["DMSNAP_LIVES"].flatMap { UInt64($0) } ?? 1
            var histories = (first..<first + count).map {
                History(seed: $0, sizes: RealMachine.sizes)
            }
            if let text = environment["DMSNAP_LIFE"] { histories = [try #require(History(text))] }
            var figures = Figures()
            var failures = 0
            for history in histories where failures < 3 {
                let begin = Date()
                if let problem = problem(history, &figures) {
                    failures += 1
                    var least = history
                    if environment["DMSNAP_SHRINK"] != nil {
                        var none = Figures()
                        least = history.shrunk { self.problem($0, &none) != nil }
                    }
                    Issue.record("\(problem)\nDMSNAP_LIFE='\(least)'")
                }
                print("life \(history.seed): \(Int(Date().timeIntervalSince(begin))) s")
                print("lives: DMSNAP_SEED=\(first): \(figures)")
                fflush(nil)
            }
        }
    }
}
