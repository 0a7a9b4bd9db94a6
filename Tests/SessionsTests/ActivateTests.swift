import Block
import ExceptionStore
import Glibc
import KernelSimulation
import StoreTesting
import Synchronization
import SystemPackage
import Testing

@testable import Sessions

@Suite struct ActivateTests {
    @Test("Chunks that take more of the kernel's memory than there is are refused")
    func hugeChunks() throws {
        let world = try World()
        let disk = try world.disk()
        let error = #expect(throws: SessionsError.self) {
            try world.service().activate(disk.string, .init(chunkSize: .init(parsing: "128M")))
        }
        #expect(error?.exitStatus == .usage)
        #expect(error?.description.contains("--chunk-size") == true)
        _ = try world.service().activate(disk.string, .init(chunkSize: .init(parsing: "64M")))
    }

    @Test("Nothing is kept below a mount point that something is to be mounted on")
    func beforeMounts() throws {
        let world = try World()
        let disk = try world.disk()
        world.kernel.missingMount = "/mnt/sessions"
        let error = #expect(throws: SessionsError.self) { try world.activate(disk) }
        #expect(error?.exitStatus == .busy)
        #expect(error?.description.contains("mounts on /mnt/sessions") == true)
        #expect(world.kernel.remains == [])
        #expect(try world.service().activations().isEmpty)
        let received = #expect(throws: SessionsError.self) {
            try world.service().receiver.receive(from: .standardInput, resuming: false)
        }
        #expect(received?.exitStatus == .busy)
    }

    @Test("The origin is resumed last, when its snapshot is there")
    func order() throws {
        let world = try World()
        try world.activate(world.disk())
        #expect(
            world.kernel.calls == [
                "attachLoop loop0", "create dmsnap-sda", "load dmsnap-sda",
                "create dmsnapcow-sda-1", "load dmsnapcow-sda-1", "resume dmsnapcow-sda-1",
                "resume dmsnap-sda",
            ])
        try check(world)
        #expect(try world.activation().state.isActive)
    }

    @Test("Activating twice changes nothing", arguments: [true, false])
    func twice(isImage: Bool) throws {
        let world = try World()
        let path = try isImage ? world.image() : world.disk()
        let first = try world.activate(path)
        let calls = world.kernel.calls
        guard case .alreadyActive(let second) = try world.service().activate(path.string) else {
            throw Unexpected("a second activation")
        }
        #expect(second.id == first.id)
        let other = #expect(throws: SessionsError.self) {
            try world.service().activate(path.string, .init(chunkSize: .init(parsing: "4K")))
        }
        #expect(other?.description.contains("it is activated with chunks of 1") == true)
        #expect(world.kernel.calls == calls)
        try check(world)
    }

    @Test("One that is to be deactivated stays only if it is activated as it was asked for")
    func leaving() throws {
        let world = try World()
        let disk = try world.disk()
        try world.activate(disk)
        try world.mount()
        guard case .waits = try world.service().deactivate(disk.string, waiting: true) else {
            throw Unexpected("no use")
        }
        #expect(throws: SessionsError.self) {
            try world.service().activate(disk.string, .init(chunkSize: .init(parsing: "4K")))
        }
        #expect(try world.activation().isLeaving == true)
        try world.activate(disk)
        #expect(try world.activation().isLeaving == nil)
        try check(world)
    }

    @Test("Another policy is refused; without one any is as well")
    func otherPolicy() throws {
        let world = try World()
        let disk = try world.disk()
        func activate(_ mode: ActivationRequest.Mode) throws -> ActivationOutcome {
            try world.service().activate(disk.string, .init(mode))
        }
        guard case .activated(let made) = try activate(.anyOverlay) else {
            throw Unexpected("it was activated")
        }
        #expect(made.restoreAt == .never)
        try world.service().set(disk.string, PolicyChange(restoreAt: .boot))
        for mode in [ActivationRequest.Mode.anyOverlay, .overlay(.boot)] {
            guard case .alreadyActive = try activate(mode) else { throw Unexpected("\(mode)") }
        }
        for (mode, what) in [
            (ActivationRequest.Mode.overlay(.never), "with --restore-at boot; `dmsnap set"),
            (.capture, "under an overlay"),
        ] {
            let error = #expect(throws: SessionsError.self) { try activate(mode) }
            #expect(error?.description.contains(what) == true, "\(error?.description ?? "")")
        }
    }

    @Test("Whatever step fails, nothing is left of an activation", arguments: [true, false])
    func undone(isImage: Bool) throws {
        func world() throws -> (World, FilePath) {
            let world = try World()
            return (world, try isImage ? world.image("a disk.img") : world.disk())
        }
        let (whole, path) = try world()
        let steps = try Steps.counting { try whole.activate(path) }.all
        #expect(steps > 40)
        for step in 1...steps {
            let (world, path) = try world()
            var failed = false
            do {
                try Steps.failing(at: step) { try world.activate(path) }
            } catch {
                failed = true
            }
            let what = "step \(step), \(Steps.last)"
            if failed {
                #expect(world.kernel.remains == [], "\(what)")
                #expect(try world.service().activations().isEmpty, "\(what)")
                #expect(try world.sessions().isEmpty, "\(what)")
            }
            try check(world, "\(what)")
            try world.activate(path)
            try check(world, "again after \(what)")
        }
    }

    @Test("A failed wait for udev undoes an activation, too")
    func udev() throws {
        let world = try World()
        let path = try world.disk()
        world.kernel.udevFails = true
        #expect(throws: SessionsError.self) { try world.activate(path) }
        #expect(world.kernel.remains == [])
        try check(world)
    }

    @Test("A second activation of another device with the same name gets a name of its own")
    func names() throws {
        let world = try World()
        try Files.makeDirectory(world.directory.path.appending("a"))
        let first = try world.activate(world.image("disk.img"))
        let other = try world.directory.file("a/disk.img", world.generator.bytes(64 << 10))
        let second = try world.activate(other)
        #expect(first.name == "disk.img")
        #expect(second.name == "disk.img-2")
        try check(world)
    }

    @Test("An image that a part is attached of is refused as well")
    func partAttached() throws {
        let world = try World()
        let image = try world.image()
        try world.kernel.attachByHand(image, as: 3, isWhole: false)
        let error = #expect(throws: SessionsError.self) { try world.activate(image) }
        #expect(error?.exitStatus == .busy)
    }

    @Test("A loop device that goes by itself is waited for, unless somebody uses it")
    func passing() throws {
        let world = try World()
        let image = try world.image()
        try world.kernel.attachByHand(image, as: 3, isPassing: true)
        var waits = 0
        world.kernel.whenPaused = {
            waits += 1
            if waits == 3 { world.kernel.letGo(ofLoop: 3) }
        }
        try world.activate(image)
        #expect(waits == 3)
        let name = try world.session()
        try world.service().deactivate(image.string)
        waits = 0
        try world.kernel.attachByHand(image, as: 3, isPassing: true)
        _ = try world.service().restore(RestoreRequest(session: name))
        #expect(waits == 3)
        // One that stays does stay, and one that is in use is.
        try world.kernel.attachByHand(image, as: 3)
        #expect(try world.service().restoreError(name)?.exitStatus == .busy)
        world.kernel.letGo(ofLoop: 3)
        try world.kernel.attachByHand(image, as: 3, isPassing: true)
        world.kernel.mountDisk(world.kernel.nodeOfLoop(3))
        waits = 0
        #expect(throws: SessionsError.self) { try world.activate(image) }
        #expect(try world.service().restoreError(name)?.exitStatus == .busy)
        #expect(waits == 0)
        world.kernel.whenPaused = {}
    }

    @Test("A path that is not UTF-8 is refused, by whatever name, before anything is touched")
    func notText() throws {
        let world = try World()
        let bytes = world.directory.path.string.utf8.map { CChar(bitPattern: $0) } + [0x2F, -1]
        let path = FilePath(platformString: bytes + [0])
        try FileDescriptor.open(
            path, .writeOnly, options: .create, permissions: .ownerReadWrite
        ).closeAfter { _ = try OwnedDescriptor.open(path, .readWrite).resize(to: ByteCount(4096)) }
        defer { try? Files.remove(path) }
        let link = world.directory.path.appending("link")
        try symbolicLink(link, to: path)
        // An argument comes with U+FFFD for what isn't UTF-8.
        for name in [path.string, link.string] {
            let error = #expect(throws: SessionsError.self) {
                try world.service().activate(name)
            }
            #expect(error?.exitStatus == .usage)
            #expect(error?.description.contains("UTF-8") == true)
        }
        let error = #expect(throws: SessionsError.self) {
            try world.service().activate(
                world.disk().string, .init(place: .directory(FilePath(path.string))))
        }
        #expect(error?.exitStatus == .usage)
        #expect(world.kernel.calls == [])
        #expect(!Files.exists(FilePath(path.string)))
    }

    @Test("A mounted disk is refused before anything is touched")
    func mounted() throws {
        let world = try World()
        let path = try world.disk()
        world.kernel.mountDisk(path, at: "/srv")
        let error = #expect(throws: SessionsError.self) { try world.activate(path) }
        #expect(error?.exitStatus == .busy)
        #expect(error?.description.contains("/srv") == true)
        #expect(world.kernel.calls == [])
    }

    @Test("A disk that is mounted by another path to it is refused, one that only says so isn't")
    func mountedByOtherPath() throws {
        for isSame in [true, false] {
            let world = try World()
            let disk = try world.disk("sda", hardware: ["wwid:naa.1"])
            var bytes = try world.kernel.bytes(of: disk)
            // What is mounted has much in memory that is not on the disk yet.
            bytes[5000] ^= 1
            if !isSame { for index in bytes.indices.dropFirst(8192) { bytes[index] ^= 1 } }
            let other = try world.kernel.addDisk("sdb", bytes, hardware: ["wwid:naa.1"])
            world.kernel.mountDisk(other, at: "/srv")
            var error: SessionsError?
            do { try world.activate(disk) } catch let refusal as SessionsError { error = refusal }
            #expect((error == nil) == !isSame)
            if isSame {
                #expect(error?.exitStatus == .busy)
                let text = error?.description ?? ""
                #expect(text.contains("/srv") && text.contains("sdb"))
            }
        }
    }

    @Test("A read-only disk, an empty image and a directory are refused with the reason")
    func unsuitable() throws {
        let world = try World()
        let readOnly = try world.disk()
        world.kernel.setReadOnly(readOnly)
        let empty = try world.directory.file("empty", [])
        for path in [readOnly, empty, world.directory.path] {
            let error = #expect(throws: SessionsError.self) { try world.activate(path) }
            #expect(error?.exitStatus == .usage)
            #expect(error?.description.hasPrefix(path.string) == true)
        }
        #expect(world.kernel.calls == [])
    }

    @Test("An image that is attached already is refused, and what to do is said")
    func attached() throws {
        let world = try World()
        let image = try world.image()
        try world.kernel.attachByHand(image, as: 3)
        let error = #expect(throws: SessionsError.self) { try world.activate(image) }
        #expect(error?.exitStatus == .busy)
        #expect(error?.description.contains("losetup -d") == true)
    }

    @Test("A base directory that others may write to is refused")
    func openBase() throws {
        let world = try World()
        let path = try world.disk()
        let base = world.directory.path.appending("open")
        try Files.makeDirectory(base)
        let service = try world.service()
        try setMode(base, 0o777)
        let error = #expect(throws: SessionsError.self) {
            try service.activate(path.string, .init(place: .directory(base)))
        }
        #expect(error?.description.contains("chmod 700") == true)
        #expect(try world.service().activations().isEmpty)
    }

    @Test("A device's name in dmsnap doesn't stand for another image of that name")
    func relative() throws {
        let world = try World()
        try Files.makeDirectory(world.directory.path.appending("a"))
        let first = try world.activate(world.image("disk.img"))
        let other = try world.directory.file("a/disk.img", world.generator.bytes(64 << 10))
        #expect(try world.service().find(other.string) == nil)
        #expect(try world.service().find("disk.img")?.id == first.id)
        // From that directory the name is a path.
        let images = try FilePath("disk.img-\(world.activation().id)")
        try Files.replace(images, with: world.generator.bytes(1024))
        defer { try? Files.remove(images) }
        let third = try world.activate(world.image(images.string))
        #expect(third.name.text == images.string)
        #expect(try world.service().find(images.string) == nil)
    }

    @Test("Who waits for one device, and says so, doesn't keep another from being activated")
    func waiting() async throws {
        let world = try World()
        let (first, second) = (try world.disk(), try world.image())
        let activation = try world.activate(first)
        let lock = try FileLock.take(world.layout.operationLock(activation.id))
        let said = Said()
        let service = try SnapshotService(
            kernel: world.kernel, layout: world.layout, notice: said.append)
        let path = first.string
        let waiter = WorkerThread.start {
            _ = try? service.activate(path)
        }
        #expect(waiter != nil)
        for _ in 0..<1000 where said.all.isEmpty { usleep(10_000) }
        #expect(said.all.first?.contains("waiting for") == true)
        // While that one waits:
        try world.activate(second)
        #expect(try world.service().activations().count == 2)
        lock.release()
        waiter?.join()
        #expect(said.all.count == 1)
    }

    private final class Said: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock(\.self) }
        @Sendable func append(_ line: String) { lines.withLock { $0.append(line) } }
    }
}
