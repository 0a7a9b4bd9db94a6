import Block
import FoundationEssentials
import Glibc
import StoreTesting
import SystemPackage
import Testing
import WriteLog

extension IntegrationTests {
    /// The power goes after every flush and FUA write of a whole life of a device (`make soak`), or
    /// after some of them.
    ///
    /// - `DMSNAP_SEED`: a number, which chooses the workload, the cuts, and what becomes of the writes
    ///   under way; a new one each day without.
    /// - `DMSNAP_CUTS`: how many cuts, or `all`.
    /// - `DMSNAP_CUT`: this cut alone, as its problem names it: `at 512, scattered`.
    /// - `DMSNAP_RECORDING`: a directory for the recorded workload; one that has a recording is used.
    @Suite struct PowerCuts {
        private let environment = ProcessInfo.processInfo.environment

        private var seed: UInt64 {
            environment["DMSNAP_SEED"].flatMap { UInt64($0) }
                ?? UInt64(Date().timeIntervalSince1970 / 86400)
        }

        @Test("After a power cut at any moment everything that was kept is restored")
        func cuts() async throws {
            say("DMSNAP_SEED=\(seed)")
            try await Rig.prepareMachine()
            try await CutDisk.make()
            let recording = try await self.recording()
            let all = recording.log.cuts(parts: CutDisk.parts)
            let points = recording.log.points.count
            say("\(points) flushes and FUA writes, \(all.count) different cuts")
            #expect(recording.armedTooEarly.isEmpty)
            let chosen = choose(all)
            var replay = try recording.replay(seed: seed)
            var (restored, lost, tried) = (0, 0, 0)
            var failed: [String] = []
            for cut in chosen {
                var aftermath = Aftermath(recording, cut)
                do {
                    try await aftermath.run(replay.image(after: cut))
                } catch {
                    failed.append("\(cut): \(error)")
                }
                try await CutDisk.takeDown()
                tried += 1
                restored += aftermath.restored
                lost += aftermath.lost
                failed += aftermath.problems
                for problem in aftermath.problems { say("\(problem)") }
                if tried.isMultiple(of: 20) || tried == chosen.count {
                    say(
                        "\(tried) tried of \(chosen.count), "
                            + "\(restored) sessions restored, \(lost) lost")
                }
            }
            try await CutDisk.remove()
            #expect(failed.isEmpty)
        }

        /// At once: who waits for hours wants to see how far it is.
        private func say(_ text: String) {
            print("power cuts: \(text)")
            fflush(nil)
        }

        private func recording() async throws -> Recording {
            let kept = environment["DMSNAP_RECORDING"].map { FilePath($0) }
            if let kept, Files.exists(Recording.truth(in: kept)) {
                say("the recording in \(kept)")
                return try Recording(kept)
            }
            let directory = FilePath(
                try await sh("mktemp -d \"${DMSNAP_TEST_DIRECTORY:-/var/tmp}/cuts.XXXXXX\""))
            let recorder = Recorder(directory: directory, seed: seed)
            say("\(recorder.description)")
            let recording = try await recorder.record()
            if let kept {
                try await sh("cp --sparse=always \(directory)/* \(kept)")
            }
            return recording
        }

        private func choose(_ all: [PowerCut]) -> [PowerCut] {
            if let one = environment["DMSNAP_CUT"] {
                return all.filter { $0.description == one }
            }
            if environment["DMSNAP_CUTS"] == "all" { return all }
            var random = SeededGenerator(seed: seed)
            let count = environment["DMSNAP_CUTS"].flatMap { Int($0) } ?? 4
            let places = all.indices.shuffled(using: &random).prefix(count).sorted()
            return places.map { all[$0] }
        }
    }
}
