import Block
import ExceptionStore
import Glibc
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Monitor
@testable import Sessions

/// What waits until a device is not in use any more.
@Suite struct DeferredTests {
    private func said(_ watcher: Watcher, _ part: String) -> Bool {
        watcher.said().contains { $0.contains(part) }
    }

    @Test("A device in use is deactivated when it is unmounted, and its session is closed")
    func leaving() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.mount()
        try world.scribble()
        let watcher = try Watcher(world)
        guard case .waits(let reason) = try world.service().deactivate(disk.string, waiting: true)
        else { throw Unexpected("no use") }
        #expect(reason.contains("/mnt"))
        watcher.look()
        #expect(try world.service().status().map(\.leaving) == [true])
        try world.kernel.unmount(world.origin())
        watcher.look()
        #expect(said(watcher, "deactivated"))
        #expect(world.kernel.remains == [])
        #expect(try world.sessions().map(\.record.state) == [.closed])
        #expect(try world.service().activations().isEmpty)
    }

    @Test("Without a use it is deactivated at once; without the wish a use is refused")
    func atOnce() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.mount()
        let error = #expect(throws: SessionsError.self) {
            try world.service().deactivate(disk.string, waiting: false)
        }
        #expect(error?.exitStatus == .busy)
        #expect(try world.activation().isLeaving == nil)
        try world.kernel.unmount(world.origin())
        guard case .deactivated = try world.service().deactivate(disk.string, waiting: true) else {
            throw Unexpected("a use")
        }
        #expect(world.kernel.remains == [])
    }

    @Test("Activating it again lets it stay")
    func staying() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.mount()
        try world.scribble()
        _ = try world.service().deactivate(disk.string, waiting: true)
        try world.activate(disk)
        let watcher = try Watcher(world)
        watcher.look()
        try world.kernel.unmount(world.origin())
        for _ in 0..<2 { watcher.look() }
        #expect(try world.activation().isLeaving == nil)
        #expect(try world.faults() == [])
    }

    @Test("A boot comes first: it is assembled, and deactivated before anything mounts it")
    func boot() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.mount()
        try world.scribble()
        _ = try world.service().deactivate(disk.string, waiting: true)
        world.kernel.reboot()
        let watcher = try Watcher(world)
        watcher.look()
        #expect(world.kernel.remains == [])
        #expect(try world.sessions().map(\.record.interrupted) == [true])
    }

    @Test(
        "A mounted device is activated when it is unmounted, or at a boot",
        arguments: [false, true])
    func pending(isBoot: Bool) throws {
        let world = try World()
        let disk = try world.disk()
        world.kernel.mountDisk(disk)
        let chunk = try ChunkSize(parsing: "4K")
        guard
            case .waits = try world.service().activateWhenUnmounted(
                disk.string, .init(putBackAt: .unmount, keep: 2, chunkSize: chunk))
        else { throw Unexpected("no use") }
        let watcher = try Watcher(world)
        watcher.look()
        #expect(world.kernel.remains == [])
        #expect(try world.service().status().map(\.state) == [.waiting])
        #expect(try world.service().status().map(\.keep) == [2])
        #expect(try world.service().status(disk.string).first?.captured == false)
        // A monitor that nothing else needs goes on.
        #expect(try world.service().observer.ifNothingIsActivated {} == false)
        if isBoot { world.kernel.reboot() } else { world.kernel.unmountDisk(disk) }
        // Not before what the sessions are on.
        world.kernel.missingMount = "/snapshot"
        watcher.look()
        let waiting = try #require(try world.service().status().first)
        #expect(waiting.state == .waiting)
        #expect(
            waiting.warning?.hasSuffix("activated when /snapshot is mounted, where its sessions go")
                == true)
        #expect(watcher.said() == [] && world.kernel.remains == [])
        world.kernel.missingMount = nil
        watcher.look()
        #expect(said(watcher, "activated"))
        #expect(try world.service().status().map(\.state) == [.armed])
        #expect(try world.activation().chunkSize.bytes == 4096)
        #expect(try world.activation().restorePolicy?.keep == 2)
        #expect(try world.faults() == [])
    }

    @Test("Whoever activates otherwise what waits has said how, and nothing waits any more")
    func activatedMeanwhile() throws {
        let world = try World()
        let disk = try world.disk()
        world.kernel.mountDisk(disk)
        guard
            case .waits = try world.service().activateWhenUnmounted(
                disk.string, .init(chunkSize: .init(parsing: "4K")))
        else { throw Unexpected("no use") }
        world.kernel.unmountDisk(disk)
        try world.activate(disk)
        let watcher = try Watcher(world)
        watcher.look()
        #expect(try world.service().pending().isEmpty)
        #expect(try world.activation().chunkSize.bytes == 1024)
        #expect(!said(watcher, "can't be activated"))
    }

    @Test("What has its name by then is left alone, and said once; deactivating calls it off")
    func other() throws {
        let world = try World()
        let disk = try world.disk()
        world.kernel.mountDisk(disk)
        _ = try world.service().activateWhenUnmounted(disk.string)
        world.kernel.unmountDisk(disk)
        world.kernel.removeDisk(disk)
        let watcher = try Watcher(world)
        watcher.look()
        try world.disk(hardware: ["serial:2"])
        watcher.look()
        #expect(said(watcher, "another one"))
        watcher.look()
        #expect(watcher.said() == [])
        guard case .calledOff = try world.service().deactivate(disk.string, waiting: false) else {
            throw Unexpected("an activation")
        }
        #expect(try world.service().pending().isEmpty)
        let error = #expect(throws: SessionsError.self) {
            try world.service().deactivate(disk.string, waiting: false)
        }
        #expect(error?.exitStatus == .noInput)
        #expect(world.kernel.remains == [])
    }

    @Test("Asked for by a link, it is the link that leads to it after a boot has renamed it")
    func link() throws {
        let world = try World()
        let disk = try world.disk()
        let link = world.directory.path.appending("by-id")
        #expect(unsafe symlink(disk.string, link.string) == 0)
        world.kernel.mountDisk(disk)
        _ = try world.service().activateWhenUnmounted(link.string)
        #expect(try world.service().status(disk.string).first?.state == .waiting)
        world.kernel.reboot()
        try world.kernel.renameDisk(disk, to: "sdx")
        try Files.remove(link)
        #expect(
            unsafe symlink(disk.removingLastComponent().appending("sdx").string, link.string) == 0)
        let watcher = try Watcher(world)
        watcher.look()
        #expect(try world.service().status().map(\.state) == [.armed])
        #expect(try world.service().pending().isEmpty)
    }

    @Test("Asked for twice it waits once, with what was asked for last")
    func twice() throws {
        let world = try World()
        let disk = try world.disk()
        world.kernel.mountDisk(disk)
        for size in ["4K", "8K"] {
            _ = try world.service().activateWhenUnmounted(
                disk.string, .init(chunkSize: ChunkSize(parsing: size)))
        }
        #expect(try world.service().pending().map(\.chunkSize?.bytes) == [8192])
    }
}
