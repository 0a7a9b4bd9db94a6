import Block
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct IdentityTests {
    /// What mkswap writes, as far as libblkid looks: the least that has a UUID.
    private func swap(_ world: World, _ uuid: UInt8) -> [UInt8] {
        var bytes = world.generator.bytes(64 << 10)
        for index in 0..<4096 { bytes[index] = 0 }
        bytes[1024] = 1
        bytes[1028] = 15
        for index in 1036..<1052 { bytes[index] = uuid }
        bytes.replaceSubrange(4086..<4096, with: Array("SWAPSPACE2".utf8))
        return bytes
    }

    @Test("A first partition is not taken for that of another disk, which has the same number")
    func partitionNumber() throws {
        let world = try World()
        let disk = try world.kernel.addDisk("sda1", swap(world, 1), hardware: ["partition:1"])
        #expect(try world.service().lifecycle.kernel.contents(disk).uuid != nil)
        try world.activate(disk)
        world.kernel.reboot()
        world.kernel.removeDisk(disk)
        let other = try world.kernel.addDisk("sda1", swap(world, 2), hardware: ["partition:1"])
        guard case .notThere = try world.service().assemble(world.activation().id) else {
            throw Unexpected("another disk")
        }
        #expect(try world.service().claimant(of: other.string) == nil)
    }

    @Test("A copy of a partition doesn't go on with its chain", arguments: [true, false])
    func copiedPartition(isMarked: Bool) throws {
        let world = try World()
        let hardware = isMarked ? ["serial:1", "partition:1"] : ["partition:1"]
        let disk = try world.disk("sda1", hardware: hardware)
        try world.activate(disk)
        try world.session()
        try world.service().deactivate(disk.string)
        let copy = try world.kernel.addDisk(
            "sdb1", world.kernel.bytes(of: disk), hardware: hardware)
        // The same serial number is the same disk, under another name.
        #expect(try world.activate(copy).chain.index == (isMarked ? 1 : 0))
    }

    @Test("A loop device with an offset is never taken for the image, and is seen as a writer")
    func offset() throws {
        let world = try World()
        let image = try world.image()
        let before = try world.kernel.bytes(of: image)
        try world.activate(image)
        world.kernel.reboot()
        try world.kernel.attachByHand(image, as: 0, isWhole: false)
        guard case .assembled = try world.service().assemble(world.activation().id) else {
            throw Unexpected("no assembly")
        }
        #expect(world.kernel.remains.count == 5)
        let watched = try #require(try world.service().observer.watched().first)
        let others = try world.service().observer.otherWays([watched])
        #expect(others == [watched.activation.id: world.kernel.nodeOfLoop(0).string])
        let name = try world.session()
        _ = try world.service().restore(RestoreRequest(session: name))
        #expect(try world.kernel.bytes(of: image) == before)
        try world.service().deactivate(image.string)
        #expect(world.kernel.remains == ["loop0"])
    }
}
