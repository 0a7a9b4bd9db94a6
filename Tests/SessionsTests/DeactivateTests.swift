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

    @Test("An image that is gone can still be deactivated by its path")
    func gone() throws {
        let world = try World()
        let image = try world.image()
        try world.activate(image)
        try Files.remove(image)
        try world.service().deactivate(image.string)
        #expect(try world.service().activations().isEmpty)
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
        #expect(try world.activation().path.hasSuffix("sdc"))
        try check(world)
        let moved = FilePath(try world.activation().path)
        let last = try #require(try world.sessions().last)
        #expect(last.record.interrupted)
        _ = try world.service().restore(RestoreRequest(session: last.record.name))
        #expect(try world.kernel.bytes(of: moved) == middle)
        _ = try world.service().restore(RestoreRequest(session: name))
        #expect(try world.kernel.bytes(of: other) == untouched)
    }
}
