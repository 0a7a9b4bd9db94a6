import Block
import Glibc
import KernelSimulation
import Logging
import StoreTesting
import SystemPackage
import Testing

@testable import Monitor
@testable import Sessions

/// What the monitor lets go, and what it says of that.
@Suite struct PrunerTests {
    private final class Kept {
        let world: World
        let names: [String]
        let lines = Lines()
        let pruner: Pruner

        init(rules: String = "") throws {
            world = try World()
            if !rules.isEmpty {
                try Files.makeDirectory(world.layout.configuration.removingLastComponent())
                try Files.replace(
                    world.layout.configuration, with: Array("[retention]\n\(rules)\n".utf8))
            }
            try world.activate(world.disk())
            let world = world
            names = try (0..<3).map { _ in try world.session() }
            let lines = lines
            var log = Logger(label: "test") { _ in Recorder(lines: lines) }
            log.logLevel = .info
            pruner = try Pruner(service: try world.service(), log: log)
        }

        /// Until what was begun has ended.
        func look() {
            pruner.attend()
            for _ in 0..<1000 where !pruner.isIdle {
                usleep(10_000)
                pruner.attend()
            }
        }

        var left: [String] { get throws { try world.sessions().map(\.record.name.text) } }
    }

    @Test("With too little free the oldest goes, and that is a warning; then it waits")
    func space() throws {
        let kept = try Kept()
        kept.world.kernel.free = ByteCount((10 << 30) - 1)
        kept.look()
        #expect(try kept.left == Array(kept.names.dropFirst()))
        let said = kept.lines.take()
        #expect(said.count == 1)
        #expect(said.first?.hasPrefix("warning: \(kept.names[0]): deleted") == true)
        #expect(said.first?.contains("min-free") == true)
        // Some file systems free it later.
        kept.pruner.request()
        kept.look()
        #expect(try kept.left == Array(kept.names.dropFirst()))
        #expect(kept.lines.take() == [])
    }

    @Test("What goes by number is said as well, and what is pinned stays")
    func number() throws {
        let kept = try Kept(rules: "keep-last = 1")
        try kept.world.service().keeper.pin([kept.names[0]], true)
        kept.look()
        #expect(try kept.left == [kept.names[0], kept.names[2]])
        let said = kept.lines.take()
        #expect(said.count == 1)
        #expect(said.first?.contains("merged into \(kept.names[0])") == true)
    }

    @Test("That nothing can go is said once")
    func shortfall() throws {
        let kept = try Kept()
        try kept.world.service().keeper.pin(kept.names, true)
        kept.world.kernel.free = ByteCount(9 << 30)
        kept.look()
        #expect(kept.lines.take().count == 1)
        kept.pruner.request()
        kept.look()
        #expect(kept.lines.take() == [])
        #expect(try kept.left == kept.names)
    }

    @Test("With room and no rule nothing goes, and nothing is said")
    func nothing() throws {
        let kept = try Kept()
        kept.look()
        #expect(try kept.left == kept.names)
        #expect(kept.lines.take() == [])
    }
}
