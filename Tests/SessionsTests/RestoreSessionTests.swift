import Block
import KernelSimulation
import Restore
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct RestoreSessionTests {
    /// A disk with three sessions; the contents before each, and after the last.
    private func chain(_ isActive: Bool = true) throws -> (World, FilePath, [String], [[UInt8]]) {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        var names: [String] = []
        var states = [try world.kernel.bytes(of: disk)]
        for _ in 0..<3 {
            names.append(try world.session())
            states.append(try world.kernel.bytes(of: disk))
        }
        if !isActive { try world.service().deactivate(disk.string) }
        return (world, disk, names, states)
    }

    private func refusal(
        _ world: World, _ request: RestoreRequest, _ disk: FilePath,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> SessionsError? {
        let before = try world.kernel.bytes(of: disk)
        let error = #expect(throws: SessionsError.self, sourceLocation: sourceLocation) {
            try world.service().restore(request)
        }
        #expect(
            try world.kernel.bytes(of: disk) == before, "written", sourceLocation: sourceLocation)
        return error
    }

    @Test("After a boot, before it is assembled, it is refused, and nothing is taken for lost")
    func apart() throws {
        let (world, disk, names, states) = try chain()
        try world.mount()
        try world.scribble()
        world.kernel.reboot()
        let error = try refusal(world, .init(session: names[0]), disk)
        #expect(error?.exitStatus == .busy)
        #expect(error?.description.contains("dmsnap assemble") == true)
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        #expect(try world.sessions().last?.record.state == .closed)
        _ = try world.service().restore(RestoreRequest(session: names[0]))
        #expect(try world.kernel.bytes(of: disk) == states[0])
    }

    @Test("A dry run reads everything and writes nothing", arguments: [true, false])
    func dryRun(isActive: Bool) throws {
        let (world, disk, names, states) = try chain(isActive)
        var request = RestoreRequest(session: names[0])
        request.dryRun = true
        let outcome = try world.service().restore(request)
        #expect(outcome.chain.map(\.text) == names)
        #expect(outcome.report.bytesWritten == 0)
        #expect(try world.kernel.bytes(of: disk) == states[3])
        #expect(try world.sessions().count == 3)
    }

    @Test("A restore through an armed device is undone by restoring its own session")
    func undo() throws {
        let (world, disk, names, states) = try chain()
        let outcome = try world.service().restore(RestoreRequest(session: names[1]))
        #expect(try world.kernel.bytes(of: disk) == states[1])
        let undo = try #require(outcome.undo)
        let record = try world.service().session(named: undo.text).record
        #expect(record.kind == .offline)
        #expect(record.restoreOf?.text == names[1])
        _ = try world.service().restore(RestoreRequest(session: undo.text))
        #expect(try world.kernel.bytes(of: disk) == states[3])
        try check(world)
    }

    @Test("What wouldn't be kept of what a restore overwrites is refused before the first write")
    func noRoom() throws {
        for isLimited in [true, false] {
            let world = try World()
            if isLimited {
                let configuration = world.layout.configuration
                try Files.makeDirectory(configuration.removingLastComponent())
                try Files.replace(configuration, with: Array("[store]\nlimit = \"40K\"\n".utf8))
            }
            let disk = try world.disk(size: 256 << 10)
            try world.activate(disk)
            let before = try world.kernel.bytes(of: disk)
            var names: [String] = []
            for part in 0..<8 {
                let origin = try world.origin()
                guard case .opened(let name) = try world.mount() else { throw Unexpected("mount") }
                let bytes = world.generator.bytes(20 << 10)
                try world.kernel.write(bytes, at: part * 20 << 10, to: origin)
                guard case .closed = try world.unmount() else { throw Unexpected("unmount") }
                names.append(name.text)
            }
            // What is spared of the reserve is too little.
            if !isLimited { world.kernel.free = ByteCount(512 << 20 + 100_000) }
            for isOnline in [true, false] {
                var request = RestoreRequest(session: names[0])
                request.online = isOnline
                let error = try refusal(world, request, disk)
                #expect(error?.exitStatus == .ioError)
                let reason = isLimited ? "store.limit" : "store.reserve"
                #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
            }
            // Nothing is lost by that: what fits is restored, and all of it where nothing has to be kept.
            if isLimited { _ = try world.service().restore(RestoreRequest(session: names[7])) }
            world.kernel.free = ByteCount(50 << 30)
            try world.service().deactivate(disk.string)
            _ = try world.service().restore(RestoreRequest(session: names[0]))
            #expect(try world.kernel.bytes(of: disk) == before)
        }
    }

    @Test("Mounted, or open by a program, a device is not restored")
    func busy() throws {
        let (world, disk, names, _) = try chain()
        try world.mount()
        #expect(try refusal(world, .init(session: names[0]), disk)?.exitStatus == .busy)
        try world.unmount()
        try world.kernel.setPrograms(1, on: world.origin())
        #expect(try refusal(world, .init(session: names[0]), disk)?.exitStatus == .busy)
    }

    @Test(
        "While another command works on the device a restore is refused", arguments: [true, false])
    func alone(isImage: Bool) throws {
        let world = try World()
        let path = try isImage ? world.image() : world.disk()
        let activation = try world.activate(path)
        let name = try world.session()
        if isImage { try world.service().deactivate(path.string) }
        let file =
            try isImage
            ? world.layout.imageLock(FileIdentity(FileStatus(path)))
            : world.layout.operationLock(activation.id)
        guard let lock = try FileLock.takeIfFree(file) else { throw Unexpected("no lock") }
        #expect(try refusal(world, .init(session: name), path)?.exitStatus == .busy)
        if isImage {
            let error = #expect(throws: SessionsError.self) { try world.activate(path) }
            #expect(error?.exitStatus == .busy)
        }
        lock.release()
        _ = try world.service().restore(RestoreRequest(session: name))
    }

    @Test("A session in the middle that is missing, damaged or invalid is refused")
    func gaps() throws {
        for damage in 0..<3 {
            let (world, disk, names, _) = try chain()
            let directory = world.layout.defaultSessions.appending(names[1])
            switch damage {
            case 0: try Files.removeDirectory(directory)
            case 1: try TemporaryDirectory.patch(directory.appending("store"), at: 8, [9])
            default:
                var record = try world.service().session(named: names[1]).record
                record.state = .invalid
                try world.service().lifecycle.catalogue.write(record, in: directory)
            }
            let error = try refusal(world, .init(session: names[0]), disk)
            #expect(error?.exitStatus == .damaged)
            #expect(error?.description.contains(names[damage == 0 ? 2 : 1]) == true)
            // The last one needs none of them.
            _ = try world.service().restore(RestoreRequest(session: names[2]))
        }
    }

    @Test("Of a device that isn't activated, a later session is refused after an earlier one")
    func backwards() throws {
        let (world, disk, names, states) = try chain(false)
        _ = try world.service().restore(RestoreRequest(session: names[1]))
        #expect(try world.kernel.bytes(of: disk) == states[1])
        #expect(try refusal(world, .init(session: names[2]), disk)?.exitStatus == .damaged)
        _ = try world.service().restore(RestoreRequest(session: names[0]))
        #expect(try world.kernel.bytes(of: disk) == states[0])
    }

    @Test("What was restored over a break stays broken")
    func acceptedWrites() throws {
        let (world, disk, names, _) = try chain(false)
        try TemporaryDirectory.patch(disk, at: 512, [1, 2, 3])
        var request = RestoreRequest(session: names[2])
        #expect(try refusal(world, request, disk)?.exitStatus == .damaged)
        request.skipsDamaged = true
        request.acceptsOtherDevice = true
        #expect(try refusal(world, request, disk)?.exitStatus == .damaged)
        request.acceptsWrites = true
        _ = try world.service().restore(request)
        #expect(try refusal(world, .init(session: names[0]), disk)?.exitStatus == .damaged)
        #expect(try world.activate(disk).chain.index == 0)
    }

    @Test("Cut short at any step, a restore past a chain is completed by the same command")
    func cutShort() throws {
        let (whole, _, names, _) = try chain(false)
        let steps = try Steps.counting {
            _ = try whole.service().restore(RestoreRequest(session: names[1]))
        }.changes
        for step in 1...steps {
            let (world, disk, names, states) = try chain(false)
            let request = RestoreRequest(session: names[1])
            let what = Steps.dying(before: step) { _ = try world.service().restore(request) }
            _ = try world.service().restore(request)
            #expect(try world.kernel.bytes(of: disk) == states[1], "\(what)")
            _ = try world.service().restore(RestoreRequest(session: names[0]))
            #expect(try world.kernel.bytes(of: disk) == states[0], "\(what)")
        }
    }

    // An equal fingerprint doesn't prove that nothing was written, so a crash before the first write
    // can't be told from one after it.
    @Test("Cut short before its first write, a restore goes first, or a later one accepts writes")
    func cutShortEarly() throws {
        let (whole, _, names, _) = try chain(false)
        let steps = try Steps.counting {
            _ = try whole.service().restore(RestoreRequest(session: names[1]))
        }.changes
        var marked = 0
        for step in 1...steps {
            let (world, disk, names, states) = try chain(false)
            let request = RestoreRequest(session: names[1])
            let what = Steps.dying(before: step) { _ = try world.service().restore(request) }
            guard try world.kernel.bytes(of: disk) == states[3] else { break }
            if try world.service().session(named: names[2]).record.undoneBy != nil {
                marked += 1
                let error = try refusal(world, .init(session: names[2]), disk)
                #expect(error?.exitStatus == .damaged, "\(what)")
                #expect(error?.description.contains("must be run again") == true, "\(what)")
            }
            _ = try world.service().restore(request)
            #expect(try world.kernel.bytes(of: disk) == states[1], "\(what)")
        }
        #expect(marked > 0)
    }

    @Test("A restore to another device that was cut short excuses nothing of the session's own")
    func otherMarker() throws {
        let (world, disk, names, states) = try chain(false)
        let copy = try world.kernel.addDisk("sdb", states[3])
        var request = RestoreRequest(session: names[1])
        request.device = copy.string
        let steps = try Steps.counting {
            _ = try world.service().restore(request)
        }.changes
        #expect(try world.kernel.bytes(of: copy) == states[1])
        world.kernel.removeDisk(copy)
        let again = try world.kernel.addDisk("sdc", states[3])
        request.device = again.string
        Steps.dying(before: steps - 1) { _ = try world.service().restore(request) }
        try TemporaryDirectory.patch(disk, at: 512, [1, 2, 3])
        let error = try refusal(world, .init(session: names[1]), disk)
        #expect(error?.exitStatus == .damaged)
    }

    @Test("A target of another size, another disk, and a session that isn't there are refused")
    func strangers() throws {
        let (world, disk, names, states) = try chain(false)
        let small = try world.kernel.addDisk("sdb", [UInt8](repeating: 0, count: 4096))
        var request = RestoreRequest(session: names[0])
        request.device = small.string
        request.acceptsWrites = true
        request.acceptsOtherDevice = true
        #expect(try refusal(world, request, small)?.exitStatus == .usage)
        #expect(
            try refusal(world, .init(session: "sdx_20260101T000000Z"), disk)?.exitStatus
                == .noInput)
        // Another disk has the old one's name now.
        world.kernel.removeDisk(disk)
        try world.kernel.addDisk("sda", states[3], hardware: ["serial:2"])
        var own = RestoreRequest(session: names[0])
        own.acceptsWrites = true
        let other = try refusal(world, own, disk)
        #expect(other?.exitStatus == .damaged)
        #expect(other?.description.contains("--other-device") == true)
        own.acceptsOtherDevice = true
        _ = try world.service().restore(own)
        #expect(try world.kernel.bytes(of: disk) == states[0])
    }

    @Test(
        "To another device that is activated, it is refused as another one, unless that is wished for"
    )
    func activatedOther() throws {
        let (world, _, names, states) = try chain()
        let other = try world.disk("sdb", hardware: ["serial:2"])
        try world.activate(other)
        var request = RestoreRequest(session: names[0])
        request.device = other.string
        let error = try refusal(world, request, other)
        #expect(error?.exitStatus == .damaged)
        #expect(error?.description.contains("another device") == true)
        request.acceptsWrites = true
        let before = try world.kernel.bytes(of: other)
        let outcome = try world.service().restore(request)
        // What the chain never kept is the other device's own.
        #expect(try world.kernel.bytes(of: other) != states[0])
        let undo = try #require(outcome.undo)
        _ = try world.service().restore(RestoreRequest(session: undo))
        #expect(try world.kernel.bytes(of: other) == before)
    }

    @Test("A session's directory serves as its name")
    func directory() throws {
        let (world, disk, names, states) = try chain()
        let path = world.layout.defaultSessions.appending(names[0])
        _ = try world.service().restore(RestoreRequest(session: path.string))
        #expect(try world.kernel.bytes(of: disk) == states[0])
    }

    @Test("A session that was moved elsewhere is restored from there, with the later ones")
    func moved() throws {
        let (world, disk, names, states) = try chain()
        let moved = world.directory.path.appending("moved")
        try Files.rename(world.layout.defaultSessions.appending(names[0]), to: moved)
        let outcome = try world.service().restore(RestoreRequest(session: moved.string))
        #expect(outcome.chain.map(\.text) == names)
        #expect(try world.kernel.bytes(of: disk) == states[0])
    }
}
