import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Disks that are pulled, copied, renamed, reachable by two paths, resized.
@Suite struct FoundAgainTests {
    @Test("A clone never takes the original's place because it has its old name")
    func clone() throws {
        let world = try World()
        let disk = try world.disk("sda", hardware: [])
        try world.activate(disk)
        try world.session()
        world.kernel.reboot()
        let bytes = try world.kernel.bytes(of: disk)
        try world.kernel.renameDisk(disk, to: "sdb")
        let clone = try world.kernel.addDisk("sda", bytes, hardware: [])
        let error = #expect(throws: SessionsError.self) {
            try world.service().assemble(world.activation().id)
        }
        #expect(error?.description.contains("several devices") == true)
        #expect(try world.kernel.bytes(of: clone) == bytes)
        #expect(world.kernel.remains == [])
        world.kernel.removeDisk(clone)
        guard case .assembled = try world.service().assemble(world.activation().id) else {
            throw Unexpected("not assembled")
        }
        #expect(try world.activation().path.text.hasSuffix("sdb"))
        try check(world)
    }

    @Test("Two paths to one disk are one device; two disks that say the same serial number are not")
    func twoPaths() throws {
        for isSame in [true, false] {
            let world = try World()
            let disk = try world.disk("sda", hardware: ["serial:1"])
            try world.activate(disk)
            world.kernel.reboot()
            var bytes = try world.kernel.bytes(of: disk)
            if !isSame { bytes[5000] ^= 1 }
            try world.kernel.addDisk("sdb", bytes, hardware: ["serial:1"])
            let result = Result { try world.service().assemble(world.activation().id) }
            if isSame {
                guard case .assembled = try result.get() else { throw Unexpected("\(result)") }
                #expect(try world.activation().path == ByteText(disk))
            } else {
                #expect(throws: SessionsError.self) { try result.get() }
                #expect(world.kernel.remains == [])
            }
        }
    }

    @Test(
        "An activated disk is found by another path to it; one that only says the same is another")
    func otherPath() throws {
        for isSame in [true, false] {
            let world = try World()
            let disk = try world.disk("sda", hardware: ["wwid:naa.1"])
            try world.activate(disk)
            var bytes = try world.kernel.bytes(of: disk)
            if !isSame { bytes[5000] ^= 1 }
            let other = try world.kernel.addDisk("sdb", bytes, hardware: ["wwid:naa.1"])
            #expect(try world.activate(other).path == ByteText(isSame ? disk : other))
            #expect(try world.service().activations().count == (isSame ? 1 : 2))
        }
    }

    @Test("A disk that was pulled while armed and is back under another name is assembled again")
    func pulled() throws {
        let world = try World()
        let disk = try world.disk()
        // So that what comes back has another number, as while a table holds the old one.
        try world.disk("sdb", hardware: ["serial:2"])
        try world.activate(disk)
        let first = try world.session()
        let bytes = try world.kernel.bytes(of: disk)
        world.kernel.removeDisk(disk)
        #expect(try world.service().missing().count == 1)
        #expect(try world.service().status().first?.state == .missing)
        guard case .notThere = try world.service().assemble(world.activation().id) else {
            throw Unexpected("assembled without the disk")
        }
        let back = try world.kernel.addDisk("sdz", bytes, hardware: ["serial:1"])
        guard case .assembled = try world.service().assemble(world.activation().id) else {
            throw Unexpected("not assembled")
        }
        #expect(try world.activation().path == ByteText(back))
        #expect(try world.service().status().first?.state == .armed)
        try check(world)
        #expect(try world.service().restoreError(first) == nil)
    }

    @Test("Pulled while mounted, what is left is not taken from under its user")
    func pulledInUse() throws {
        let world = try World()
        let disk = try world.disk()
        try world.disk("sdb", hardware: ["serial:2"])
        try world.activate(disk)
        try world.mount()
        try world.scribble()
        let bytes = try world.kernel.bytes(of: disk)
        world.kernel.removeDisk(disk)
        try world.kernel.addDisk("sdz", bytes, hardware: ["serial:1"])
        let error = #expect(throws: SessionsError.self) {
            try world.service().assemble(world.activation().id)
        }
        #expect(error?.exitStatus == .busy)
        world.kernel.unmount(try world.origin())
        guard case .assembled(let session?) = try world.service().assemble(world.activation().id)
        else { throw Unexpected("not assembled") }
        #expect(session.record.state == .closed)
        #expect(try world.service().restoreError(session.record.name.text) == nil)
        try check(world)
    }

    @Test("A device that has grown is told of, and its chain is broken there")
    func grown() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.session()
        #expect(try world.service().observer.watched().first?.fault == nil)
        try OwnedDescriptor.open(disk, .readWrite).resize(to: ByteCount(128 << 10))
        guard case .size = try world.service().observer.watched().first?.fault else {
            throw Unexpected("unseen")
        }
    }

    @Test("A disk without a size was pulled out and breaks no chain; an image without one shrank")
    func sizeless() throws {
        for isDisk in [true, false] {
            let world = try World()
            let device = try isDisk ? world.disk() : world.image()
            try world.activate(device)
            try OwnedDescriptor.open(device, .readWrite).resize(to: ByteCount(0))
            let fault = try world.service().observer.watched().first?.fault
            #expect((fault == nil) == isDisk)
        }
    }

    @Test("Names that Swift calls equal and Linux doesn't are two names")
    func bytes() throws {
        let world = try World()
        let composed = try world.image("\u{e9}.img")
        let decomposed = try world.image("e\u{301}.img")
        #expect(composed.string == decomposed.string && composed != decomposed)
        let first = try world.activate(composed)
        let second = try world.activate(decomposed)
        // To people they look the same, so their names do not.
        #expect(first.id != second.id && first.name.text != second.name.text)
        #expect(try world.service().find(composed.string)?.id == first.id)
        #expect(try world.service().find(decomposed.string)?.id == second.id)
        try world.service().deactivate(decomposed.string)
        #expect(try world.service().activations().map(\.id) == [first.id])
        try check(world)
    }
}
