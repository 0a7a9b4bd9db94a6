import Block
import ExceptionStore
import Foundation
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Devices that the configuration names.
@Suite struct RulesTests {
    private func read(_ text: String) throws -> Configuration {
        try Configuration(parsing: Array(text.utf8), of: "dmsnap.toml", layout: Layout())
    }

    @Test("A section for each device is read, in the file's order")
    func sections() throws {
        let rules = try read(
            """
            [store]
            warn-percent = 70
            [[device]]
            uuid = "6b1b1f3c"
            mode = "overlay"
            restore-at = "boot"
            [[device]]  # an image
            path = "/srv/disk.img"
            chunk-size = "4K"
            store-dir = "/var/snapshot"
            [[device]]
            label = "data"
            mode = "overlay"
            [[device]]
            path = "/dev/sr0"
            mode = "overlay"
            store = "ram"
            [[device]]
            path = "/dev/sdz"
            restore-at = "unmount"
            keep = 3
            [restore]
            read-back = false
            """
        ).devices
        #expect(
            rules.map(\.description) == [
                "UUID=6b1b1f3c", "/srv/disk.img", "LABEL=data", "/dev/sr0", "/dev/sdz",
            ])
        #expect(
            rules.map(\.request.mode) == [
                .overlay(.boot), .capture, .overlay(.never), .overlay(.boot), .capture,
            ])
        #expect(rules[4].request.putBackAt == .unmount)
        #expect(rules.map(\.request.keep) == [nil, nil, nil, nil, 3])
        #expect(rules[1].request.chunkSize?.bytes == ByteCount(4096))
        #expect(rules[1].request.place == .directory("/var/snapshot"))
        #expect(rules[3].request.place == .memory)
    }

    @Test(
        "What is wrong in one is refused, with which one it is",
        arguments: [
            ("[[device]]\nmode = \"overlay\"", "number 1 needs one of"),
            ("[[device]]\npath = \"/a\"\nuuid = \"1\"", "number 1 needs one of"),
            ("[[device]]\npath = \"a\"", "no absolute path"),
            ("[[device]]\npath = 1", "path is no text"),
            ("[[device]]\npath = \"\"", "path is no text"),
            (
                "[[device]]\npath = \"/a\"\n[[device]]\nlabel = \"b\"\nserial = \"1\"",
                "number 2: serial"
            ),
            ("[[device]]\npath = \"/a\"\nmode = \"x\"", "neither"),
            ("[[device]]\npath = \"/a\"\nstore = \"ram\"", "goes with mode"),
            ("[[device]]\npath = \"/a\"\nmode = \"overlay\"\nstore = \"disk\"", "is not \"ram\""),
            (
                "[[device]]\npath = \"/a\"\nmode = \"overlay\"\nstore = \"ram\"\nrestore-at = \"never\"",
                "neither with store-dir"
            ),
            (
                "[[device]]\npath = \"/a\"\nmode = \"overlay\"\nrestore-at = \"x\"",
                "restore-at is not"
            ),
            ("[[device]]\npath = \"/a\"\nkeep = 1", "goes with restore-at"),
            ("[[device]]\npath = \"/a\"\nrestore-at = \"boot\"\nkeep = -1", "no number of times"),
            (
                "[[device]]\npath = \"/a\"\nrestore-at = \"boot\"\nkeep = \"1\"",
                "no number of times"
            ),
            (
                "[[device]]\npath = \"/a\"\nmode = \"overlay\"\nrestore-at = \"boot\"\nkeep = 1",
                "without an overlay"
            ),
            ("[[device]]\npath = \"/a\"\n[[device]]\npath = \"/a\"", "two [[device]] sections"),
            ("[device]\npath = \"/a\"", "is [[device]]"),
            ("[device]\npath = \"/a\"\n[[device]]\npath = \"/a\"", "is [[device]]"),
            ("[[device]]\npath = \"/a\"\n[device]\npath = \"/a\"", "is [[device]]"),
            ("[[store]]\nwarn-percent = 50", "is [store]"),
            ("[[device]\npath = \"/a\"", "[[name]]"),
            ("[[device]]\npath = \"/a\"\npath = \"/b\"", "is there twice"),
        ])
    func wrong(_ text: String, _ reason: String) throws {
        let error = #expect(throws: SessionsError.self) { try read(text) }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }

    private func world(_ text: String) throws -> World {
        let world = try World()
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        try Files.replace(world.layout.configuration, with: Array(text.utf8))
        return world
    }

    @Test("What is there is activated as its section says, once; another time for it is changed")
    func applying() throws {
        let world = try world(
            "[[device]]\nlabel = \"a b\"\nmode = \"overlay\"\nrestore-at = \"boot\"\n")
        let disk = try world.disk()
        func apply() throws -> RuleOutcome {
            let service = try world.service()
            return try service.apply(#require(service.rules().first))
        }
        guard case .notThere = try apply() else { throw Unexpected("it is there") }
        let links = world.layout.disks("by-label", "a\\x20b")
        try Files.makeDirectory(links.removingLastComponent())
        try FileManager.default.createSymbolicLink(
            atPath: links.string, withDestinationPath: disk.string)
        guard case .activated(let made) = try apply() else { throw Unexpected("no activation") }
        #expect(made.restoreAt == .boot)
        guard case .overlay = made.state else { throw Unexpected("no overlay") }
        guard case .alreadySo = try apply() else { throw Unexpected("something was done") }
        try world.service().set(disk.string, PolicyChange(restoreAt: .never))
        guard case .changed(let changed) = try apply() else { throw Unexpected("no change") }
        #expect(changed.restoreAt == .boot)
        #expect(try world.faults() == [])
    }

    @Test("One that is put back by itself keeps as many times as its section says")
    func keeping() throws {
        let world = try world("")
        let disk = try world.disk()
        func apply(_ keep: String) throws -> RuleOutcome {
            let text = "[[device]]\npath = \"\(disk)\"\nrestore-at = \"unmount\"\n\(keep)\n"
            try Files.replace(world.layout.configuration, with: Array(text.utf8))
            let service = try world.service()
            return try service.apply(#require(service.rules().first))
        }
        guard case .activated(let made) = try apply("keep = 2") else {
            throw Unexpected("no activation")
        }
        #expect(made.restorePolicy?.keep == 2)
        guard case .alreadySo = try apply("keep = 2") else { throw Unexpected("it was changed") }
        // What isn't said stays.
        guard case .alreadySo = try apply("") else { throw Unexpected("it was changed") }
        guard case .changed(let changed) = try apply("keep = 0") else {
            throw Unexpected("it wasn't changed")
        }
        #expect(changed.restorePolicy?.keep == 0)
        #expect(try world.faults() == [])
    }

    @Test("One in use waits, with what its section says; one in another mode is refused")
    func inUse() throws {
        let world = try World()
        let disk = try world.disk()
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        try Files.replace(
            world.layout.configuration,
            with: Array("[[device]]\npath = \"\(disk)\"\nmode = \"overlay\"\n".utf8))
        world.kernel.mountDisk(disk)
        let service = try world.service()
        let rule = try #require(service.rules().first)
        guard case .waits(let reason) = try service.apply(rule) else { throw Unexpected("no use") }
        #expect(reason.contains("/mnt"))
        world.kernel.unmountDisk(disk)
        let pending = try #require(service.pending().first)
        let activation = try #require(try service.activate(pending))
        #expect(activation.state.overlay != nil)
        try service.deactivate(disk.string)
        try world.activate(disk)
        let error = #expect(throws: SessionsError.self) { try service.apply(rule) }
        #expect(error?.description.contains("without an overlay") == true)
    }

    @Test("One that is activated with other chunks, or elsewhere, is not said to be so already")
    func otherwise() throws {
        let world = try World()
        let disk = try world.disk()
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        func apply(_ settings: String) throws -> RuleOutcome {
            try Files.replace(
                world.layout.configuration,
                with: Array("[[device]]\npath = \"\(disk)\"\n\(settings)\n".utf8))
            let service = try world.service()
            return try service.apply(#require(service.rules().first))
        }
        try world.activate(disk)
        let same = "chunk-size = \"1K\"\nstore-dir = \"\(world.layout.defaultSessions)\""
        for settings in ["", same] {
            guard case .alreadySo = try apply(settings) else { throw Unexpected("\(settings)") }
        }
        for (settings, how) in [
            ("chunk-size = \"4K\"", "with chunks of 1"),
            ("store-dir = \"/other\"", "sessions under"),
        ] {
            let error = #expect(throws: SessionsError.self) { try apply(settings) }
            #expect(error?.description.contains(how) == true, "\(error?.description ?? "")")
            #expect(error?.exitStatus == .usage)
        }
        try check(world)
    }
}
