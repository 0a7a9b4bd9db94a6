import Block
import ExceptionStore
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Devices that are not written: what is written to them is somewhere else, until it is given up or committed.
@Suite struct OverlayTests {
    /// A device under an overlay, and what it was.
    private struct Covered {
        let world = try? World(seed: 3)
        let path: FilePath
        let before: [UInt8]
        let name: String

        init(
            _ restoreAt: RestoreAt = .never, isImage: Bool = false, settings: String = "",
            place: ActivationRequest.Place = .configured
        ) throws {
            guard let world else { throw Unexpected("no world") }
            let configuration = world.layout.configuration
            try Files.makeDirectory(configuration.removingLastComponent())
            try Files.replace(configuration, with: Array("# ours\n\(settings)\n".utf8))
            path = try isImage ? world.image() : world.disk()
            before = try world.kernel.bytes(of: path)
            _ = try world.service().activate(
                path.string,
                .init(.overlay(restoreAt), chunkSize: .init(parsing: "1K"), place: place))
            name = try world.origin()
        }

        var machine: World {
            get throws {
                guard let world else { throw Unexpected("no world") }
                return world
            }
        }

        func use(_ writes: Int = 5) throws {
            try machine.kernel.mount(name)
            try machine.scribble(writes)
            try machine.kernel.unmount(name)
        }

        func shown() throws -> [UInt8] { try machine.kernel.contents(ofMapped: name) }
        func device() throws -> [UInt8] { try machine.kernel.bytes(of: path) }
        func service() throws -> SnapshotService { try machine.service() }
        func rollOver() throws -> RolloverOutcome {
            try service().rollOver(machine.activation().id)
        }

        func reboot() throws {
            try machine.kernel.reboot()
            for (_, result) in try service().assembleAll() { _ = try result.get() }
        }

        func isInOrder() throws {
            #expect(try machine.faults() == [])
        }
    }

    @Test("What is written shows, and is not on the device", arguments: [false, true])
    func writing(isImage: Bool) throws {
        let covered = try Covered(isImage: isImage)
        try covered.use()
        #expect(try covered.shown() != covered.before)
        #expect(try covered.device() == covered.before)
        #expect(try covered.machine.sessions().isEmpty)
        let status = try #require(try covered.service().status().first)
        #expect(status.state == .overlay && status.mode == .overlay && status.captured)
        guard case .nothingToDo = try covered.rollOver() else { throw Unexpected("an exchange") }
        try covered.isInOrder()
    }

    @Test("Discarded it is gone, and the device is as it was", arguments: [false, true])
    func discarding(isImage: Bool) throws {
        let covered = try Covered(isImage: isImage)
        try covered.use()
        guard
            case .discarded(let chunks?, isUnchanged: true) = try covered.service().discard(
                covered.path.string)
        else { throw Unexpected("another outcome") }
        #expect(chunks > 0)
        #expect(try covered.shown() == covered.before)
        try covered.isInOrder()
        guard case .nothingToDo = try covered.service().discard(covered.path.string) else {
            throw Unexpected("something to discard")
        }
        // And again, in the next store.
        try covered.use()
        _ = try covered.service().discard(covered.path.string)
        #expect(try covered.shown() == covered.before)
        try covered.isInOrder()
    }

    @Test("Committed it is on the device, and nothing is over it", arguments: [false, true])
    func committing(isImage: Bool) throws {
        let covered = try Covered(isImage: isImage)
        try covered.use()
        let shown = try covered.shown()
        guard
            case .committed(_, wasFull: false) = try covered.service().commit(covered.path.string)
        else { throw Unexpected("nothing to commit, or a full store") }
        #expect(try covered.device() == shown)
        #expect(try covered.shown() == shown)
        try covered.isInOrder()
        try covered.use()
        _ = try covered.service().discard(covered.path.string)
        #expect(try covered.shown() == shown)
        #expect(try covered.device() == shown)
    }

    @Test(
        "What a store has taken that became full is committed, and it is said that there was more",
        arguments: [false, true])
    func committingFull(isRebooted: Bool) throws {
        let covered = try Covered(settings: "[store]\nlimit = \"24K\"")
        try covered.machine.kernel.mount(covered.name)
        #expect(throws: Errno.ioError) { try covered.machine.scribble(100) }
        try covered.machine.kernel.unmount(covered.name)
        // The kernel doesn't know any more that something failed.
        if isRebooted { try covered.reboot() }
        let shown = try covered.shown()
        #expect(shown != covered.before)
        guard case .committed(_, wasFull: true) = try covered.service().commit(covered.path.string)
        else { throw Unexpected("nothing to commit, or nothing said") }
        #expect(try covered.device() == shown)
        #expect(try covered.shown() == shown)
        try covered.isInOrder()
    }

    @Test("A mounted device is neither discarded nor committed nor deactivated")
    func inUse() throws {
        let covered = try Covered(.unmount)
        try covered.machine.kernel.mount(covered.name)
        try covered.machine.scribble()
        let shown = try covered.shown()
        for act in [
            { _ = try covered.service().discard(covered.path.string) },
            { _ = try covered.service().commit(covered.path.string) },
            { _ = try covered.service().deactivate(covered.path.string) },
        ] {
            let error = #expect(throws: SessionsError.self) { try act() }
            #expect(error?.exitStatus == .busy)
        }
        guard case .inUse = try covered.rollOver() else { throw Unexpected("an exchange") }
        #expect(try covered.shown() == shown)
        try covered.isInOrder()
    }

    @Test("A mount that comes in the very suspend keeps what it sees")
    func mountInSuspend() throws {
        let covered = try Covered(.unmount)
        try covered.use()
        let shown = try covered.shown()
        let kernel = try covered.machine.kernel
        kernel.whenSuspended = { [unowned kernel] name in
            try? kernel.mount(name)
            kernel.whenSuspended = { _ in }
        }
        guard case .inUse = try covered.rollOver() else { throw Unexpected("an exchange") }
        #expect(try covered.shown() == shown)
        try covered.isInOrder()
    }

    @Test("At the last unmount it is given up by itself, if that was wished for")
    func atUnmount() throws {
        let covered = try Covered(.unmount)
        for _ in 0..<3 {
            try covered.use()
            guard case .discarded = try covered.rollOver() else { throw Unexpected("nothing") }
            #expect(try covered.shown() == covered.before)
        }
        try covered.service().set(covered.path.string, PolicyChange(restoreAt: .never))
        try covered.use()
        guard case .nothingToDo = try covered.rollOver() else { throw Unexpected("something") }
        try covered.isInOrder()
    }

    @Test("A boot keeps what was written, or not, as was wished for", arguments: RestoreAt.allCases)
    func booting(_ restoreAt: RestoreAt) throws {
        let covered = try Covered(restoreAt)
        try covered.use()
        let shown = try covered.shown()
        try covered.reboot()
        #expect(try covered.shown() == (restoreAt == .never ? shown : covered.before))
        #expect(try covered.device() == covered.before)
        try covered.isInOrder()
        try covered.use()
        try covered.reboot()
        #expect(try (covered.shown() == covered.before) == (restoreAt != .never))
        try covered.isInOrder()
    }

    @Test(
        "What is written to memory is gone after a boot, and is not said to stay",
        arguments: [true, false])
    func inMemory(_ isAssembled: Bool) throws {
        let covered = try Covered(.boot, place: .memory)
        let memory = try covered.machine.layout.memory
        #expect(try Files.list(memory.appending(".armed")).count == 1)
        #expect(try Registry(layout: covered.machine.layout).read().baseDirectories == [])
        try covered.use()
        #expect(try covered.shown() != covered.before)
        for act in [
            { _ = try covered.service().set(covered.path.string, PolicyChange(restoreAt: .never)) },
            { _ = try covered.service().commit(covered.path.string) },
            { _ = try covered.service().deactivate(covered.path.string) },
        ] {
            #expect(throws: SessionsError.self) { try act() }
        }
        try covered.isInOrder()
        try covered.machine.kernel.reboot()
        let armed = memory.appending(".armed")
        for store in try Files.list(armed) { try Files.removeDirectory(armed.appending(store)) }
        try Files.removeDirectory(armed)
        try Files.removeDirectory(memory)
        if isAssembled {
            for (_, result) in try covered.service().assembleAll() { _ = try result.get() }
            #expect(try covered.shown() == covered.before)
            try covered.use()
            try covered.isInOrder()
            _ = try covered.service().discard(covered.path.string)
        }
        try covered.service().deactivate(covered.path.string)
        #expect(try covered.device() == covered.before)
        #expect(try covered.machine.kernel.remains == [])
        #expect((try? Files.list(armed)) ?? [] == [])
    }

    @Test("Memory is for overlays that go with a boot, and has to be memory")
    func notInMemory() throws {
        let world = try World(seed: 5)
        let disk = try world.disk().string
        let requests: [(ActivationRequest.Mode, String)] = [
            (.capture, "--mode overlay"), (.overlay(.never), "--restore-at boot"),
        ]
        for (mode, advice) in requests {
            for isWaiting in [true, false] {
                let error = #expect(throws: SessionsError.self) {
                    if isWaiting {
                        _ = try world.service().activateWhenUnmounted(
                            disk, .init(mode, place: .memory))
                    } else {
                        _ = try world.service().activate(disk, .init(mode, place: .memory))
                    }
                }
                #expect(error?.description.contains(advice) == true)
            }
        }
        world.kernel.runIsInMemory = false
        let error = #expect(throws: SessionsError.self) {
            try world.service().activate(disk, .init(.anyOverlay, place: .memory))
        }
        #expect(error?.description.contains("tmpfs") == true)
        #expect(try world.service().activations().isEmpty)
        world.kernel.runIsInMemory = true
        guard
            case .activated(let made) = try world.service().activate(
                disk, .init(.anyOverlay, place: .memory))
        else { throw Unexpected("another") }
        #expect(made.restoreAt == .boot)
        // The same, whatever is left open; and not another.
        _ = try world.service().activate(disk, .init(.anyOverlay, place: .memory))
        _ = try world.service().activate(disk, .init(.anyOverlay))
        let other = #expect(throws: SessionsError.self) {
            try world.service().activate(disk, .init(.anyOverlay, place: .directory("/a")))
        }
        #expect(other?.description.contains("in memory") == true)
    }

    @Test("Deactivating refuses to lose what was written, and leaves nothing when there is none")
    func deactivating() throws {
        let covered = try Covered()
        try covered.use()
        let error = #expect(throws: SessionsError.self) {
            try covered.service().deactivate(covered.path.string)
        }
        #expect(error?.exitStatus == .busy && "\(error?.description ?? "")".contains("commit"))
        try covered.isInOrder()
        _ = try covered.service().discard(covered.path.string)
        try covered.service().deactivate(covered.path.string)
        #expect(try covered.machine.kernel.remains == [])
        #expect(try covered.device() == covered.before)
        #expect(try covered.machine.sessions().isEmpty)
        try covered.isInOrder()
    }

    @Test("What is written while it is being deactivated is not lost")
    func writtenWhileLeaving() throws {
        let covered = try Covered()
        let id = try covered.machine.activation().id
        // Found empty, and written before its table was gone; then the process died.
        try covered.service().lifecycle.registry.change(id) { current throws(SessionsError) in
            try current.beginUncovering()
        }
        try covered.use()
        let shown = try covered.shown()
        try covered.service().recover(id)
        #expect(try covered.shown() == shown)
        #expect(try covered.device() == covered.before)
        try covered.isInOrder()
    }

    @Test(
        "A device that was written beneath is not shown under what was written over something else")
    func writtenBeneath() throws {
        let covered = try Covered()
        try covered.use()
        try covered.machine.kernel.reboot()
        try Overwritten.all(of: covered.path)
        let beneath = try covered.device()
        let results = try covered.service().assembleAll().map(\.1)
        guard case .failure(let error)? = results.first else { throw Unexpected("it went well") }
        #expect("\(error)".contains("discard"))
        #expect(try covered.machine.kernel.number(ofMapped: covered.name) == nil)
        guard
            case .discarded(_, isUnchanged: false) = try covered.service().discard(
                covered.path.string)
        else { throw Unexpected("another outcome") }
        #expect(try covered.shown() == beneath)
        try covered.isInOrder()
    }

    @Test(
        "A store that is gone or damaged is told of, and given up when somebody says so",
        arguments: [true, false])
    func lostStore(isGone: Bool) throws {
        let covered = try Covered()
        try covered.use()
        try covered.machine.kernel.reboot()
        let activation = try covered.machine.activation()
        let store = Layout.store(in: activation.directory)
        if isGone {
            try Files.remove(store)
        } else {
            let file = try OwnedDescriptor.open(store, .readWrite)
            try file.write([UInt8](repeating: 0xff, count: 8), at: 1024)
        }
        let results = try covered.service().assembleAll().map(\.1)
        guard case .failure(let error)? = results.first else { throw Unexpected("it went well") }
        #expect("\(error)".contains(store.string))
        _ = try covered.service().discard(covered.path.string)
        #expect(try covered.shown() == covered.before)
        try covered.isInOrder()
    }

    @Test("What only a device that captures has is refused, with what to do")
    func refusals() throws {
        let covered = try Covered()
        let path = covered.path.string
        let other = #expect(throws: SessionsError.self) { _ = try covered.service().activate(path) }
        #expect(other?.description.contains("overlay") == true)
        let error = #expect(throws: SessionsError.self) {
            try covered.service().checkpoint(path)
        }
        #expect(error?.exitStatus == .busy)
        let plain = try World()
        try plain.activate(plain.disk())
        for act in [
            { _ = try plain.service().discard("sda") },
            { _ = try plain.service().set("sda", PolicyChange(keep: 1)) },
        ] {
            #expect(throws: SessionsError.self) { try act() }
        }
    }
}

private enum Overwritten {
    /// As a rescue system would.
    static func all(of path: FilePath) throws {
        let file = try OwnedDescriptor.open(path, .readWrite)
        let size = Int(try file.size().bytes)
        try file.write([UInt8](repeating: 0x5a, count: size), at: 0)
    }
}
