import Block
import FoundationEssentials
import KernelSimulation
import Synchronization
import SystemPackage
import Testing

@testable import Sessions

/// The states of an activation, what leads from one to the next, and their form on disk.
@Suite struct StateTests {
    private let print = Fingerprint(size: ByteCount(4096), contents: Contents(), places: [])

    private func store(_ number: Int) -> Store { Store(number: number, baseline: print) }

    private func session() throws -> SessionName { try #require(SessionName("sda_1")) }

    private func merge() throws -> OnlineMerge {
        OnlineMerge(
            session: try session(), startedAt: Date(timeIntervalSince1970: 0), chunks: 3,
            chunkSize: ByteCount(1024), contents: Contents(), isRunning: false)
    }

    private func states() throws -> [State] {
        let armed = Capture(store: store(1))
        let open = Capture(store: store(1), session: try session())
        return [
            .activating(store(1)), .armed(store(1)), .open(store(1), session: try session()),
            .exchanging(armed, next: store(2)), .exchanging(open, next: store(2)),
            .merging(armed, try merge()), .merging(open, try merge()), .deactivating(armed),
            .deactivating(open),
        ]
    }

    private func activation(_ state: State) -> Activation {
        Activation(
            id: "1", name: "sda", sessionPrefix: "sda", kind: .block, path: "/dev/sda",
            identity: SourceIdentity(contents: Contents(), hardware: []), size: ByteCount(4096),
            sector: 512, chunkSize: ByteCount(1024),
            base: BaseDirectory(path: "/snapshot", fileSystemUUID: nil, isKnown: true),
            chain: ChainPlace(id: "c", index: 0), state: state)
    }

    @Test("Every state is read back as it was written")
    func roundTrip() throws {
        for state in try states() {
            var state = state
            state.capture.store.breach = Breach(what: "dd", place: .inside)
            state.capture.store.invalidate("full")
            state.capture.store.held = 7
            let bytes = try JSON.encode(state)
            #expect(try JSON.decode(State.self, bytes: bytes) == state)
        }
    }

    @Test(
        "What can't be is no state",
        arguments: [
            ("\"armed\"", "\"open\""), ("\"open\"", "\"armed\""), ("\"open\"", "\"activating\""),
            ("\"armed\"", "\"exchanging\""), ("\"armed\"", "\"merging\""),
            ("\"armed\"", "\"lost\""),
        ])
    func illegal(from: String, to: String) throws {
        for state in try states() {
            let text = String(decoding: try JSON.encode(state), as: UTF8.self)
            let other = text.replacing("\"name\" : \(from)", with: "\"name\" : \(to)")
            guard other != text else { continue }
            #expect(throws: DecodingError.self) {
                try JSON.decode(State.self, bytes: Array(other.utf8))
            }
        }
    }

    /// Each step, and the states (by their place in `states`) that it may be taken from.
    @Test("No step is taken from a state that doesn't lead there")
    func steps() throws {
        let name = try session()
        let merge = try merge()
        let next = store(2)
        let steps: [(String, Set<Int>, (inout Activation) throws -> Void)] = [
            ("arm", [0], { try $0.arm() }),
            ("open", [1, 5, 7], { try $0.open(name) }),
            ("begin an exchange", [1, 2], { try $0.beginExchange(to: next, held: 1) }),
            ("abandon an exchange", [3, 4], { try $0.abandonExchange() }),
            ("end an exchange", [3, 4], { try $0.endExchange(.dropped) }),
            ("begin a merge", [1], { try $0.beginMerge(merge, isToBase: false) }),
            ("run a merge", [5, 6], { try $0.runMerge() }),
            ("end a merge", [5, 6], { try $0.endMerge() }),
            ("abandon a merge", [5, 6], { try $0.abandonMerge() }),
            ("begin to deactivate", [1, 2, 5, 6], { try $0.beginDeactivation() }),
            ("abandon a deactivation", [7, 8], { try $0.abandonDeactivation() }),
            ("arm again", [1, 2, 5, 6], { try $0.rearm(next, after: .dropped, merging: nil) }),
        ]
        for (what, allowed, step) in steps {
            for (index, state) in try states().enumerated() {
                var one = activation(state)
                let isDone = (try? step(&one)) != nil
                #expect(isDone == allowed.contains(index), "\(what) from \(state)")
                if !isDone { #expect(one.state == state) }
            }
        }
    }

    @Test("An exchange that was given up leaves nothing that was said of the store's end")
    func held() throws {
        var one = activation(.armed(store(1)))
        try one.beginExchange(to: store(2), held: 9)
        #expect(one.store.held == 9)
        try one.abandonExchange()
        #expect(one.state == .armed(store(1)))
    }

    @Test("A breach begins a new chain: at once where nothing was captured, else after the session")
    func breaches() throws {
        var empty = activation(.armed(store(1)))
        empty.breach("dd", isEmpty: true, now: print)
        #expect(empty.chain.id != "c" && empty.store.breach?.place == .before)
        var open = activation(.open(store(1), session: try session()))
        open.breach("dd", isEmpty: false, now: nil)
        #expect(open.chain.id == "c" && open.store.breach?.place == .inside)
        try open.beginExchange(to: store(2), held: nil)
        try open.endExchange(.dropped)
        #expect(open.chain.id != "c" && open.store.breach == nil)
    }

    @Test("A breach in the middle of an exchange is on both sides: nobody can tell on which it was")
    func breachInExchange() throws {
        var one = activation(.exchanging(Capture(store: store(1)), next: store(2)))
        one.breach("dd", isEmpty: false, now: nil)
        try one.endExchange(.dropped)
        #expect(one.store.breach?.place == .inside)
        #expect(one.chain.id != "c")
    }

    @Test("The first reason that a store is lost for stays")
    func loss() {
        var store = store(1)
        store.invalidate("first")
        store.invalidate("second")
        #expect(store.loss == "first")
    }

    @Test(
        "A registry of version 1 is read, brought to version 2 by its next change, and said so once"
    )
    func versionOne() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        guard case .opened(let name) = try world.mount() else { throw Unexpected("no session") }
        try world.scribble()
        let before = try world.kernel.bytes(of: disk)
        let now = try world.activation()
        // As the first form had it.
        let old = """
            {"version": 1, "baseDirectories": ["\(now.base.path)"], "activations": [{
              "id": "\(now.id)", "name": "\(now.name)", "sessionPrefix": "\(now.sessionPrefix)",
              "kind": "block", "path": "\(now.path)",
              "identity": \(String(decoding: try JSON.encode(now.identity), as: UTF8.self)),
              "size": \(String(decoding: try JSON.encode(now.size), as: UTF8.self)),
              "sector": 512,
              "chunkSize": \(String(decoding: try JSON.encode(now.chunkSize), as: UTF8.self)),
              "baseDirectory": "\(now.base.path)", "chain": "\(now.chain.id)", "nextIndex": 0,
              "store": 1, "session": "\(name)", "phase": "active", "isBrokenInside": false,
              "isInvalid": false,
              "baseline": \(String(decoding: try JSON.encode(now.store.baseline), as: UTF8.self))
            }]}
            """
        try Files.replace(world.layout.registry, with: Array(old.utf8))
        let told = Mutex<[String]>([])
        let service = try SnapshotService(kernel: world.kernel, layout: world.layout) { text in
            told.withLock { $0.append(text) }
        }
        #expect(try service.activations().first?.session == name)
        #expect(told.withLock { $0 } == [])
        world.kernel.unmount(try world.origin())
        guard case .closed = try service.rollOver(now.id) else { throw Unexpected("no end") }
        #expect(told.withLock { $0.count } == 1)
        #expect(told.withLock { $0.first?.contains("version 1") } == true)
        #expect(
            String(decoding: try Files.read(world.layout.registry), as: UTF8.self)
                .contains("\"version\" : 2"))
        #expect(try world.kernel.bytes(of: disk) == before)
        _ = try service.restore(RestoreRequest(session: name))
        try check(world)
    }
}
