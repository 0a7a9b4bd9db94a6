import Block
import Glibc
import KernelSimulation
import Restore
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Every restore ends in a proof, and says no more than it.
@Suite struct ProofTests {
    /// 1 MiB, so that most of it is in no session and some of it in no sample.
    private func armed() throws -> (world: World, disk: FilePath) {
        let world = try World()
        let disk = try world.disk(size: 1 << 20)
        try world.activate(disk)
        return (world, disk)
    }

    /// A mount that writes at the beginning, as every file system does.
    private func session(_ world: World, then: () throws -> Void = {}) throws -> String {
        guard case .opened(let name) = try world.mount() else { throw Unexpected("no session") }
        try world.kernel.write(world.generator.bytes(3000), at: 512, to: world.origin())
        try then()
        guard case .closed = try world.unmount() else { throw Unexpected("no end") }
        return name.text
    }

    @Test("A restore says how much it has compared, and that it is what it was")
    func same() throws {
        let (world, _) = try armed()
        let name = try session(world)
        let outcome = try world.service().restore(RestoreRequest(session: name))
        guard case .same(let places) = outcome.proof else { throw Unexpected("\(outcome.proof)") }
        #expect(places >= 48)
        #expect(outcome.isProven && outcome.conditions == [] && outcome.overridden == [])
    }

    @Test("Written past the store and unseen, the device is said NOT to be what it was")
    func different() throws {
        let (world, disk) = try armed()
        let name = try session(world) {
            // Behind everybody's back, where no session has it.
            try TemporaryDirectory.patch(
                disk, at: 600 << 10, [UInt8](repeating: 7, count: 200 << 10))
        }
        let error = try world.service().restoreError(name)
        #expect(error?.exitStatus == .damaged)
        #expect(error?.description.contains("NOT what it was") == true)
        // What it did can be undone.
        #expect(error?.description.contains("to undo the restore") == true)
        try check(world)
    }

    @Test("The same without an activation")
    func differentBare() throws {
        let (world, disk) = try armed()
        let name = try session(world) {
            try TemporaryDirectory.patch(
                disk, at: 600 << 10, [UInt8](repeating: 7, count: 200 << 10))
        }
        try world.service().deactivate(disk.string)
        #expect(
            try world.service().restoreError(name)?.description.contains("NOT what it was") == true)
    }

    @Test("What is accepted is named, and success is not claimed without the comparison")
    func accepted() throws {
        let (world, disk) = try armed()
        let name = try session(world)
        try world.service().deactivate(disk.string)
        try TemporaryDirectory.patch(disk, at: 600 << 10, [UInt8](repeating: 7, count: 200 << 10))
        var request = RestoreRequest(session: name)
        request.acceptsWrites = true
        let outcome = try world.service().restore(request)
        #expect(!outcome.isProven && outcome.overridden.count == 1)
        guard case .differs(let extents) = outcome.proof else { throw Unexpected("a proof") }
        #expect(extents.contains { $0.offset >= 600 << 10 && $0.offset < 800 << 10 })
    }

    @Test("An online restore is compared as soon as the device shows it")
    func online() throws {
        let (world, _) = try armed()
        let name = try session(world)
        var request = RestoreRequest(session: name)
        request.online = true
        let outcome = try world.service().restore(request)
        #expect(outcome.isOnline && outcome.isProven)
    }

    @Test("A dry run proves nothing and claims nothing")
    func dryRun() throws {
        let (world, _) = try armed()
        let name = try session(world)
        var request = RestoreRequest(session: name)
        request.dryRun = true
        #expect(try world.service().restore(request).proof == .none)
    }

    @Test("A session that a crash cut short restores under its condition, which is named")
    func interrupted() throws {
        let (world, disk) = try armed()
        let before = try world.kernel.bytes(of: disk)
        try world.mount()
        try world.kernel.write(world.generator.bytes(3000), at: 512, to: world.origin())
        world.kernel.reboot()
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        let session = try #require(world.sessions().first)
        #expect(session.record.interrupted && session.record.broken == nil)
        let outcome = try world.service().restore(
            RestoreRequest(session: session.record.name))
        #expect(outcome.conditions.count == 1)
        #expect(outcome.isProven)
        #expect(try world.kernel.bytes(of: disk) == before)
    }

    @Test(
        "A file system that was mounted at the crash and isn't unclean any more is one condition more"
    )
    func unmountedSince() throws {
        for condition in [FileSystemCondition.clean, .unclean] {
            let (world, _) = try armed()
            try world.mount()
            try world.kernel.write(world.generator.bytes(3000), at: 512, to: world.origin())
            world.kernel.reboot()
            world.kernel.condition = condition
            for (_, result) in try world.service().assembleAll() { _ = try result.get() }
            let session = try #require(world.sessions().first)
            #expect((session.record.doubt == nil) == (condition == .unclean))
            let outcome = try world.service().restore(
                RestoreRequest(session: session.record.name))
            #expect(outcome.conditions.count == (condition == .clean ? 2 : 1))
        }
    }

    @Test("A file system that was checked between the crash and the assembly breaks the chain")
    func checkedSince() throws {
        for check: UInt64 in [1_700_000_000, 1_800_000_000] {
            let (world, _) = try armed()
            world.kernel.lastCheck = 1_600_000_000
            try world.mount()
            try world.kernel.write(world.generator.bytes(3000), at: 512, to: world.origin())
            world.kernel.lastCheck = 1_700_000_000
            let observer = try world.service().observer
            for one in try observer.watched() { try observer.noteCheck(one) }
            world.kernel.reboot()
            world.kernel.lastCheck = check
            for (_, result) in try world.service().assembleAll() { _ = try result.get() }
            let session = try #require(world.sessions().first)
            let isBroken = session.record.broken?.contains("was checked") ?? false
            #expect(isBroken == (check == 1_800_000_000))
        }
    }

    @Test(
        "Written by a rescue system between the crash and the assembly: the chain is broken there")
    func rescue() throws {
        let (world, disk) = try armed()
        let first = try session(world)
        try world.mount()
        try world.kernel.write(world.generator.bytes(3000), at: 512, to: world.origin())
        world.kernel.reboot()
        try TemporaryDirectory.patch(disk, at: 600 << 10, [UInt8](repeating: 7, count: 200 << 10))
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        let cut = try #require(world.sessions().last)
        #expect(cut.record.broken != nil)
        for name in [first, cut.record.name.text] {
            let error = try world.service().restoreError(name)
            #expect(error?.exitStatus == .damaged)
            #expect(error?.description.contains("--accept-writes") == true)
        }
        // The next one stands on what there is.
        let next = try session(world)
        #expect(try world.service().restoreError(next) == nil)
        try check(world)
    }

    @Test("Deactivated after a crash and not assembled, the session says the same as otherwise")
    func deactivatedAfterCrash() throws {
        for isWritten in [false, true] {
            let (world, disk) = try armed()
            try world.mount()
            try world.kernel.write(world.generator.bytes(3000), at: 512, to: world.origin())
            world.kernel.reboot()
            world.kernel.condition = .clean
            if isWritten {
                try TemporaryDirectory.patch(
                    disk, at: 600 << 10, [UInt8](repeating: 7, count: 200 << 10))
            }
            let session = try #require(try world.service().deactivate(disk.string))
            #expect(session.record.interrupted && session.record.doubt != nil)
            #expect((session.record.broken != nil) == isWritten)
            let error = try world.service().restoreError(session.record.name.text)
            #expect(error?.exitStatus == (isWritten ? .damaged : nil))
        }
    }

    @Test("A disk that was set read-only is not written, though device-mapper would")
    func readOnly() throws {
        let (world, disk) = try armed()
        let name = try session(world)
        let before = try world.kernel.bytes(of: disk)
        world.kernel.setReadOnly(disk)
        #expect(try world.service().restoreError(name)?.exitStatus == .usage)
        #expect(try world.kernel.bytes(of: disk) == before)
        try world.service().deactivate(disk.string)
        #expect(try world.service().restoreError(name)?.exitStatus == .usage)
        #expect(try world.kernel.bytes(of: disk) == before)
    }

    /// Restores a session of a device that is deactivated, dying before each change, and each time again.
    private func forEachDeath(
        ofRestoring armed: () throws -> (world: World, disk: FilePath),
        _ body: (World, FilePath, _ name: String, _ what: String) throws -> Void
    ) throws {
        func prepared() throws -> (world: World, disk: FilePath, name: String) {
            let (world, disk) = try armed()
            let name = try session(world)
            try world.service().deactivate(disk.string)
            return (world, disk, name)
        }
        let (whole, _, name) = try prepared()
        let steps = try Steps.counting {
            _ = try whole.service().restore(RestoreRequest(session: name))
        }.changes
        for step in 1...steps {
            let (world, disk, name) = try prepared()
            let what = Steps.dying(before: step) {
                _ = try world.service().restore(RestoreRequest(session: name))
            }
            try body(world, disk, name, what)
        }
    }

    @Test("Cut short at any step and then written to by others, a restore doesn't go on")
    func marker() throws {
        try forEachDeath(ofRestoring: armed) { world, disk, name, what in
            // As a mount does: where the superblock is.
            try TemporaryDirectory.patch(disk, at: 1024, [UInt8](repeating: 9, count: 700))
            let before = try world.kernel.bytes(of: disk)
            #expect(try world.service().restoreError(name)?.exitStatus == .damaged, "\(what)")
            #expect(try world.kernel.bytes(of: disk) == before, "\(what)")
        }
    }

    /// Past everybody, where no sample is and no session has anything.
    private func writeUnseen(_ path: FilePath, _ world: World) throws {
        // Until the clock by which files are changed has gone on.
        usleep(20_000)
        let baseline = try #require(world.sessions().first).record.baseline
        let seen = baseline.places + baseline.samples
        let offset = try #require(
            (4096..<baseline.size.bytes).first { byte in
                !seen.contains { $0.range.contains(byte) }
            })
        let old = try world.kernel.bytes(of: path)[Int(offset)]
        try TemporaryDirectory.patch(path, at: Int64(offset), [~old])
    }

    /// Much of which is in no sample.
    private static let size = 8 << 20

    private func condition(_ world: World, _ name: String) throws -> [String] {
        let outcome = try world.service().restore(RestoreRequest(session: name))
        #expect(outcome.isProven)
        return outcome.conditions
    }

    @Test(
        "Of a disk that was not activated for a time nobody can know, of an image its file's time tells",
        arguments: [true, false], [false, true])
    func unwatched(isImage: Bool, isWritten: Bool) throws {
        for isActivatedAgain in [false, true] {
            let world = try World()
            let path = try isImage ? world.image(size: Self.size) : world.disk(size: Self.size)
            try world.activate(path)
            let name = try session(world)
            #expect(try condition(world, name) == [])
            let second = try session(world)
            try world.service().deactivate(path.string)
            if isWritten { try writeUnseen(path, world) }
            if isActivatedAgain { try world.activate(path) }
            let expected =
                isImage && !isWritten
                ? [] : ["nothing wrote to it after session \(second) while it was not activated"]
            #expect(try condition(world, second) == expected)
            // It is a matter of what lies before, too, and of what a restore has changed meanwhile.
            #expect(try condition(world, name) == expected)
        }
    }

    @Test(
        "What is written to an image while it is taken down, or set up, is seen in its file's time")
    func meanwhile() throws {
        let world = try World()
        let image = try world.image(size: Self.size)
        try world.activate(image)
        let name = try session(world)
        world.kernel.whenRemoved = { _ in try? writeUnseen(image, world) }
        try world.service().deactivate(image.string)
        world.kernel.whenRemoved = { _ in }
        #expect(try condition(world, name).count == 1)
        world.kernel.whenAttached = { _ in try? writeUnseen(image, world) }
        let error = #expect(throws: SessionsError.self) { try world.activate(image) }
        #expect(error?.exitStatus == .busy)
        world.kernel.whenAttached = { _ in }
        #expect(world.kernel.remains == [])
        try world.activate(image)
    }

    @Test("A session after such a time knows nothing of it")
    func watchedAgain() throws {
        let (world, disk) = try armed()
        let first = try session(world)
        try world.service().deactivate(disk.string)
        try world.activate(disk)
        let second = try session(world)
        #expect(try condition(world, second) == [])
        #expect(try condition(world, first).count == 1)
    }

    @Test(
        "What was armed at a boot and kept nothing was not watched until then",
        arguments: [true, false], [false, true])
    func unwatchedBoot(isImage: Bool, isWritten: Bool) throws {
        let world = try World()
        let path = try isImage ? world.image(size: Self.size) : world.disk(size: Self.size)
        try world.activate(path)
        let name = try session(world)
        world.kernel.reboot()
        if isWritten { try writeUnseen(path, world) }
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        #expect(try condition(world, name).isEmpty == (isImage && !isWritten))
    }

    @Test("What a restore that was cut short left is gone on with under a condition")
    func resumed() throws {
        func armed() throws -> (world: World, disk: FilePath) {
            let world = try World()
            let disk = try world.disk(size: Self.size)
            try world.activate(disk)
            return (world, disk)
        }
        try forEachDeath(ofRestoring: armed) { world, disk, name, what in
            try writeUnseen(disk, world)
            #expect(try condition(world, name).isEmpty == false, "\(what)")
        }
    }

    @Test("A restore that was stopped before its first write leaves no marker and no mark")
    func stoppedEarly() throws {
        let (world, disk) = try armed()
        let names = [try session(world), try session(world)]
        try world.service().deactivate(disk.string)
        let error = #expect(throws: SessionsError.self) {
            try world.service().restore(
                RestoreRequest(session: names[0]), control: RestoreControl(isCancelled: { true }))
        }
        #expect(error?.exitStatus == .ioError)
        for session in try world.sessions() {
            #expect(session.record.undoneBy == nil)
            #expect(!Files.exists(session.directory.appending("restoring.json")))
        }
        #expect(try world.service().restoreError(names[1]) == nil)
    }
}
