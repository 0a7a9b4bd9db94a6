import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct DeactivateTests {
    @Test("The origin goes before its snapshot, and everything of ours after it")
    func order() throws {
        let world = try World()
        let image = try world.image()
        try world.activate(image)
        let before = world.kernel.calls.count
        #expect(try world.service().deactivate(image.string) == nil)
        #expect(
            world.kernel.calls[before...] == [
                "remove dmsnap-disk.img", "remove dmsnapcow-disk.img-1", "detachLoop loop1",
                "detachLoop loop0",
            ])
        #expect(world.kernel.remains == [])
        try check(world)
    }

    @Test("Mounted, swapped on, under another device or open, a device stays activated")
    func busy() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let number = try #require(world.kernel.number(ofMapped: "dmsnap-sda"))
        for (use, word) in [
            ({ try world.kernel.mount("dmsnap-sda", at: "/srv") }, "/srv"),
            ({ world.kernel.hidden[number] = [.swap] }, "swapped"),
            ({ world.kernel.hidden[number] = [.holder("vg-lv")] }, "vg-lv"),
            ({ world.kernel.setPrograms(1, on: "dmsnap-sda") }, "program"),
        ] as [(() throws -> Void, String)] {
            try use()
            let error = #expect(throws: SessionsError.self) {
                try world.service().deactivate(disk.string)
            }
            #expect(error?.exitStatus == .busy)
            #expect(error?.description.contains(word) == true, "\(error.debugDescription)")
            try check(world)
            world.kernel.unmount("dmsnap-sda")
            world.kernel.hidden = [:]
            world.kernel.setPrograms(0, on: "dmsnap-sda")
        }
        try world.service().deactivate(disk.string)
    }

    @Test("udev's probe of a moment is waited for")
    func probe() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        world.kernel.setPrograms(1, on: "dmsnap-sda")
        var looks = 0
        world.kernel.whenPaused = {
            looks += 1
            if looks == 3 { world.kernel.setPrograms(0, on: "dmsnap-sda") }
        }
        try world.service().deactivate(disk.string)
        #expect(looks == 3)
    }

    @Test("What was written outside a mount is a session then")
    func offline() throws {
        let world = try World()
        let disk = try world.disk()
        let before = try world.kernel.bytes(of: disk)
        try world.activate(disk)
        try world.scribble()
        let session = try #require(try world.service().deactivate(disk.string))
        #expect(session.record.kind == .offline)
        _ = try world.service().restore(RestoreRequest(session: session.record.name))
        #expect(try world.kernel.bytes(of: disk) == before)
    }

    @Test(
        "An image that is gone, moved or replaced can still be deactivated, and leaves no loop device",
        arguments: 0..<3)
    func gone(how: Int) throws {
        let world = try World()
        let image = try world.image()
        try world.activate(image)
        let name = try world.session()
        let aside = image.appendingSuffix(".aside")
        try how == 0 ? Files.remove(image) : Files.rename(image, to: aside)
        if how == 2 { _ = try world.image() }
        try world.service().deactivate(try world.activation().path.text)
        #expect(try world.service().activations().isEmpty)
        #expect(world.kernel.remains == [])
        #expect(try world.service().session(named: name).record.state == .closed)
    }

    @Test(
        "While the sessions' file system isn't mounted a device stays activated", arguments: 0..<3)
    func unmounted(below: Int) throws {
        let world = try World()
        let disk = try world.disk()
        let before = try world.kernel.bytes(of: disk)
        try world.activate(disk)
        guard case .opened(let name) = try world.mount() else { throw Unexpected("no session") }
        try world.scribble()
        world.kernel.reboot()
        // Below the mount point is nothing, an empty directory, or one from an activation there.
        let base = world.layout.defaultSessions
        let aside = base.appendingSuffix(".aside")
        try Files.rename(base, to: aside)
        let usual = world.kernel.fileSystemUUID
        world.kernel.fileSystemUUID = { _ in "the root's" }
        if below > 0 { try Files.makeDirectory(base) }
        if below > 1 { try Files.makeDirectory(base.appending(".armed")) }
        let error = #expect(throws: SessionsError.self) {
            try world.service().deactivate(disk.string)
        }
        #expect(error?.exitStatus == .noInput)
        #expect(error?.description.contains(base.appending(name.text).string) == true)
        #expect(try world.activation().session == name)
        if below > 1 { try Files.removeDirectory(base.appending(".armed")) }
        if below > 0 { try Files.removeDirectory(base) }
        try Files.rename(aside, to: base)
        world.kernel.fileSystemUUID = usual
        try world.service().deactivate(disk.string)
        #expect(try world.service().session(named: name.text).record.state == .closed)
        _ = try world.service().restore(RestoreRequest(session: name.text))
        #expect(try world.kernel.bytes(of: disk) == before)
    }

    @Test("A deactivation that a crash cut short waits for the sessions' file system, too")
    func unmountedHalfway() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.scribble()
        _ = try world.service().lifecycle.registry.change(world.activation().id) {
            current throws(SessionsError) in
            try current.beginDeactivation()
        }
        world.kernel.reboot()
        let base = world.layout.defaultSessions
        let aside = base.appendingSuffix(".aside")
        try Files.rename(base, to: aside)
        let error = #expect(throws: SessionsError.self) {
            try world.service().deactivate(disk.string)
        }
        #expect(error?.exitStatus == .noInput)
        try Files.rename(aside, to: base)
        _ = try world.service().deactivate(disk.string)
        #expect(try world.service().activations().isEmpty)
        #expect(try world.sessions().count == 1)
    }

    @Test("A session's directory that is gone for good is replaced by an empty one, as it is said")
    func lostDirectory() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        guard case .opened(let name) = try world.mount() else { throw Unexpected("no session") }
        world.kernel.reboot()
        let directory = world.layout.defaultSessions.appending(name.text)
        try Files.removeDirectory(directory)
        world.kernel.fileSystemUUID = { _ in "another disk's" }
        let error = #expect(throws: SessionsError.self) {
            try world.service().deactivate(disk.string)
        }
        #expect(error?.description.contains("make an empty directory") == true)
        try Files.makeDirectory(directory)
        let session = try #require(try world.service().deactivate(disk.string))
        #expect(session.record.name == name && session.record.state == .invalid)
        #expect(try world.service().activations().isEmpty)
        try check(world)
    }

    @Test("A disk with another name after a reboot is deactivated as the same")
    func renamed() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        let name = try world.session()
        let middle = try world.kernel.bytes(of: disk)
        try world.mount()
        try world.scribble()
        world.kernel.reboot()
        try world.kernel.renameDisk(disk, to: "sdc")
        let other = try world.disk("sda", hardware: ["serial:2"])
        let untouched = try world.kernel.bytes(of: other)
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        #expect(try world.activation().path.text.hasSuffix("sdc"))
        try check(world)
        let moved = FilePath(try world.activation().path.text)
        let last = try #require(try world.sessions().last)
        #expect(last.record.interrupted)
        _ = try world.service().restore(RestoreRequest(session: last.record.name))
        #expect(try world.kernel.bytes(of: moved) == middle)
        _ = try world.service().restore(RestoreRequest(session: name))
        #expect(try world.kernel.bytes(of: other) == untouched)
    }
}
