import Block
import Foundation
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Monitor
@testable import Sessions

/// Devices that the configuration names, as they appear.
@Suite struct AppearingTests {
    @Test("One that appears is activated; deactivated it stays so, until it appears again")
    func appearing() throws {
        let world = try World()
        let disk = try world.disk()
        let link = world.layout.disks("by-uuid", "1234-5678")
        try Files.makeDirectory(link.removingLastComponent())
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        let watcher = try Watcher(world)
        watcher.look()
        // The file as it is now counts, and not as it was when the monitor began.
        try Files.replace(
            world.layout.configuration, with: Array("[[device]]\nuuid = \"1234-5678\"\n".utf8))
        watcher.look()
        #expect(try world.service().activations().isEmpty)
        #expect(try world.service().observer.ifNothingIsActivated {} == false)
        try FileManager.default.createSymbolicLink(
            atPath: link.string, withDestinationPath: disk.string)
        watcher.look(isWoken: false)
        #expect(try world.service().activations().isEmpty)
        watcher.look()
        #expect(watcher.said().contains { $0.contains("by the configuration") })
        #expect(try world.service().activations().count == 1)
        try world.service().deactivate(disk.string)
        watcher.look()
        #expect(try world.service().activations().isEmpty)
        try Files.remove(link)
        watcher.look()
        try FileManager.default.createSymbolicLink(
            atPath: link.string, withDestinationPath: disk.string)
        watcher.look()
        #expect(try world.service().activations().count == 1)
        #expect(try world.faults() == [])
    }

    @Test("A configuration that can't be read is told of once, and stops nothing")
    func wrong() throws {
        let world = try World()
        try world.activate(world.disk())
        let watcher = try Watcher(world)
        let name = try world.origin()
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        try Files.replace(world.layout.configuration, with: Array("[[device]]\n x = 1\n".utf8))
        watcher.look()
        watcher.look()
        #expect(watcher.said().count { $0.contains("number 1") } == 1)
        try world.kernel.mount(name)
        watcher.look()
        try Files.remove(world.layout.configuration)
        watcher.look()
        #expect(watcher.words.contains("opened"))
    }

    @Test(
        "Other settings are in force at the next look, wrong ones change nothing, and rules are no settings"
    )
    func settings() throws {
        let world = try World()
        let file = world.layout.configuration
        try Files.makeDirectory(file.removingLastComponent())
        try world.activate(world.disk())
        let watcher = try Watcher(world)
        let name = try world.origin()
        func sessions() throws -> Int { try world.service().sessions().count }
        func mountOnce() throws {
            try world.kernel.mount(name)
            watcher.look()
            world.kernel.unmount(name)
            watcher.look()
        }
        try mountOnce()
        #expect(try sessions() == 0)
        #expect(!watcher.takeSettings())
        try Files.replace(file, with: Array("[sessions]\nkeep-empty = true\n".utf8))
        #expect(watcher.takeSettings())
        #expect(!watcher.takeSettings())
        try mountOnce()
        #expect(try sessions() == 1)
        for wrong in ["", "[sessions]\nkeep-empty = 1\n"] {
            try Files.replace(file, with: Array(wrong.utf8))
            #expect(!watcher.takeSettings())
        }
        try Files.replace(
            file,
            with: Array(
                "[sessions]\nkeep-empty = true\n[[device]]\nuuid = \"1234-5678\"\n".utf8))
        #expect(!watcher.takeSettings())
        try Files.remove(file)
        #expect(watcher.takeSettings())
        try mountOnce()
        #expect(try sessions() == 1)
    }
}
