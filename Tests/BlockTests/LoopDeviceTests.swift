import Glibc
import SystemPackage
import Testing

@testable import Block

@Suite struct LoopDeviceNameTests {
    @Test("A loop device is known by its node's path alone")
    func paths() {
        #expect(LoopDevice("/dev/loop0")?.index == 0)
        #expect(LoopDevice("/dev/loop1048575")?.index == 1_048_575)
        #expect(LoopDevice("/dev/loop7")?.path == "/dev/loop7")
    }

    @Test(
        "Every other path is none",
        arguments: [
            "/dev/loop", "/dev/loop-control", "/dev/loop-1", "/dev/loop+1", "/dev/loop01",
            "/dev/loop1p1",
            "/dev/loop/1", "/dev/loop4294967296", "/dev/loop1 ", "/dev/sda", "dev/loop1", "loop1",
            "",
        ])
    func others(path: String) {
        #expect(LoopDevice(FilePath(path)) == nil)
    }
}

/// With the kernel's loop driver, on devices that the tests attach themselves.
@Suite(
    .enabled(
        if: geteuid() == 0 && Files.exists("/dev/loop-control"),
        "needs root and /dev/loop-control"))
struct LoopDeviceTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// Attaches, runs `body`, detaches.
    private func withLoop(
        _ file: FilePath, sector: UInt32 = 512, readOnly: Bool = false,
        _ body: (LoopDevice) throws -> Void
    ) async throws {
        let loop = try LoopDevice.attach(file, sector: sector, readOnly: readOnly)
        do {
            try body(loop)
        } catch {
            try loop.detach()
            throw error
        }
        let before = loop.backing
        try loop.detach()
        // Where udev has the device open for a moment, detaching is done at its close
        // (loop_clr_fd in drivers/block/loop.c). And another test may have taken the number.
        #expect(try await eventually { loop.backing == nil || loop.backing != before })
    }

    @Test("Who has a file is known, and who had the one of that name before isn't taken for it")
    func holders() async throws {
        let image = try directory.image("image", size: 1 << 20)
        let link = directory.file("link")
        try hardLink(link, to: image)
        try await withLoop(image) { loop in
            let holder = LoopDevice.Holder(loop: loop, isWhole: true)
            #expect(try LoopDevice.holders(ofFileAt: image) == [holder])
            #expect(try LoopDevice.holders(ofFileAt: link) == [holder])
            try Files.remove(image)
            let other = try directory.image("image", size: 1 << 20)
            #expect(try LoopDevice.holders(ofFileAt: other).isEmpty)
            #expect(try LoopDevice.holders(ofFileAt: link) == [holder])
        }
    }

    @Test("The file behind a loop device is known by what it is, by every path")
    func backing() async throws {
        let image = try directory.image("image", size: 1 << 20)
        let (hard, soft) = (directory.file("hard"), directory.file("soft"))
        try hardLink(hard, to: image)
        try symbolicLink(soft, to: "image")
        let other = try directory.image("other", size: 1 << 20)
        try await withLoop(soft) { loop in
            let backing = try #require(loop.backing)
            let status = try FileStatus(image)
            #expect(backing.inode == status.inode)
            #expect(DeviceNumber(backing.fileSystem) == DeviceNumber(status.fileSystem))
            #expect(backing.isWhole)
            #expect(backing.path == image.string)
            for path in [image, hard, soft] {
                #expect(attached(to: try FileStatus(path)) == [loop])
            }
            #expect(attached(to: try FileStatus(other)).isEmpty)
        }
        #expect(attached(to: try FileStatus(image)).isEmpty)
    }

    @Test(
        "A loop device with an offset or a limit is a part of its file",
        arguments: ["-o", "--sizelimit"])
    func part(option: String) async throws {
        let image = try directory.image("image", size: 1 << 20)
        try await run("losetup", option, "4096", "-f", image.string)
        let part = try #require(attached(to: try FileStatus(image)).first)
        let backing = try #require(part.backing)
        try part.detach()
        #expect(!backing.isWhole)
    }

    @Test("A file attached twice has both devices")
    func attachedTwice() async throws {
        let image = try directory.image("image", size: 1 << 20)
        try await withLoop(image) { one in
            let two = try LoopDevice.attach(image, sector: 512)
            let found = Set(attached(to: try FileStatus(image)))
            try two.detach()
            #expect(found == [one, two])
        }
    }

    @Test(
        "A backing file's path is whole, however long and whatever is in it",
        arguments: [
            String(repeating: "n", count: 200), "a b", "a\nb", "a\n", "a\r", "a\\x20b", "日本",
            "100%s#",
        ])
    func backingPath(name: String) async throws {
        // LOOP_GET_STATUS64 has 64 bytes for it (LO_NAME_SIZE, linux/loop.h); sysfs has the path raw,
        // and a newline of its own after it.
        let image = try directory.image(name, size: 1 << 20)
        try await withLoop(image) { loop in
            let backing = try #require(loop.backing)
            #expect(backing.path == image.string)
        }
    }

    @Test("A deleted backing file is still known by what it is, and so is the disk that it is on")
    func deletedFile() async throws {
        let image = try directory.image("image", size: 1 << 20)
        let status = try FileStatus(image)
        let holder = DeviceNumber(status.fileSystem)
        try await withLoop(image) { loop in
            try Files.remove(image)
            // d_path in fs/d_path.c marks it.
            #expect(try #require(loop.backing).path == image.string + " (deleted)")
            #expect(attached(to: status) == [loop])
            let foundations = Sysfs.foundations(of: try FileStatus(loop.path).deviceNumber)
            if Files.exists(Sysfs.directory(holder)) { #expect(foundations.contains(holder)) }
        }
    }

    @Test("A loop device rests on itself and on the device that holds its file")
    func foundations() async throws {
        let image = try directory.image("image", size: 1 << 20)
        try await withLoop(image) { loop in
            let number = try FileStatus(loop.path).deviceNumber
            let holder = MountTable.device(holding: image)
            let expected = Set([number] + (holder.map { Sysfs.foundations(of: $0) } ?? []))
            #expect(Sysfs.foundations(of: number) == expected)
        }
    }

    @Test("A loop device on a loop device rests on both")
    func stacked() async throws {
        let image = try directory.image("image", size: 1 << 20)
        try await withLoop(image) { lower in
            // The file behind the upper one is the lower one's node, in devtmpfs.
            let upper = try LoopDevice.attach(lower.path, sector: 512)
            let found = Sysfs.foundations(of: try FileStatus(upper.path).deviceNumber)
            try upper.detach()
            #expect(found.contains(try FileStatus(upper.path).deviceNumber))
            #expect(found.contains(try FileStatus(lower.path).deviceNumber))
        }
    }

    @Test("What is written to the device is in the file, and the other way round")
    func data() async throws {
        let image = try directory.image("image", size: 1 << 20)
        try await withLoop(image) { loop in
            let device = try OwnedDescriptor.open(loop.path, .readWrite)
            try device.write([UInt8](repeating: 0xA5, count: 4096), at: 8192)
            try device.synchronize()
            let file = try OwnedDescriptor.open(image, .readWrite)
            #expect(try file.read(count: 4096, at: 8192) == [UInt8](repeating: 0xA5, count: 4096))
            // The device's page cache doesn't know of a write to the file: it has to be dropped.
            #expect(try device.read(count: 1, at: 0) == [0])
            try file.write([7], at: 0)
            try file.synchronize()
            try device.dropCache()
            #expect(try device.read(count: 1, at: 0) == [7])
        }
    }

    @Test("A device has the logical sector that was asked for", arguments: [512, 4096] as [UInt32])
    func sectors(sector: UInt32) async throws {
        let image = try directory.image("image", size: 1 << 20)
        try await withLoop(image, sector: sector) { loop in
            let device = try BlockDevice(loop.path)
            #expect(device.sector == sector)
            #expect(device.size == ByteCount(1 << 20))
            #expect(device.kernelName == "loop\(loop.index)")
            // Documentation/admin-guide/devices.txt: loop devices have major 7.
            #expect(device.number.major == 7)
            #expect(device.mapperName == nil)
            #expect(!device.isReadOnly)
        }
    }

    @Test("A device's length is whole sectors: what is over isn't in it")
    func odd() async throws {
        // get_size in drivers/block/loop.c shifts the part of a sector away.
        let image = try directory.image("image", size: (1 << 20) + 700)
        try await withLoop(image) { loop in
            let size = try BlockDevice(loop.path).size
            #expect(size == ByteCount((1 << 20) + 512))
        }
    }

    @Test("A device attached for reading takes no write")
    func readOnly() async throws {
        let image = try directory.image("image", size: 1 << 20)
        try await withLoop(image, readOnly: true) { loop in
            let device = try BlockDevice(loop.path)
            #expect(device.isReadOnly)
            #expect(throws: SystemError.self) {
                // Newer kernels let it be opened and refuse the write.
                let device = try OwnedDescriptor.open(loop.path, .readWrite)
                try device.write([1], at: 0)
                try device.synchronize()
            }
        }
        #expect(try Files.read(image).allSatisfy { $0 == 0 })
    }

    @Test("A sector that the kernel refuses fails with EINVAL and attaches nothing")
    func badSector() throws {
        let image = try directory.image("image", size: 1 << 20)
        let error = #expect(throws: SystemError.self) {
            try LoopDevice.attach(image, sector: 513)
        }
        #expect(error?.errno == .invalidArgument)
        #expect(error?.path == image.string)
        #expect(error?.operation.hasPrefix("LOOP_CONFIGURE /dev/loop") == true)
        #expect(attached(to: try FileStatus(image)).isEmpty)
    }

    @Test("A file that isn't there fails with ENOENT")
    func missing() {
        let path = directory.file("missing")
        let error = SystemError(
            operation: "open", path: path.string, errno: .noSuchFileOrDirectory)
        #expect(throws: error) { try LoopDevice.attach(path) }
    }

    @Test("Detaching twice is detaching once")
    func detachTwice() async throws {
        let image = try directory.image("image", size: 1 << 20)
        try await withLoop(image) { loop in try loop.detach() }
    }

    @Test("Detaching under an open device is only noted: the device works until its last close")
    func detachWhileOpen() async throws {
        let image = try directory.image("image", size: 1 << 20)
        try OwnedDescriptor.open(image, .readWrite).write([7], at: 0)
        let loop = try LoopDevice.attach(image)
        do {
            let device = try OwnedDescriptor.open(loop.path, .readOnly)
            try loop.detach()
            #expect(try device.read(count: 1, at: 0) == [7])
        }
        #expect(try await eventually { loop.backing == nil })
    }

    @Test("The kernel's claim is one holder's: the next gets EBUSY, and plain opening goes on")
    func claim() async throws {
        let image = try directory.image("image", size: 1 << 20)
        try await withLoop(image) { loop in
            let claimed = try OwnedDescriptor.open(loop.path, .readOnly, exclusive: true)
            let error = SystemError(
                operation: "open", path: loop.path.string, errno: .resourceBusy)
            #expect(throws: error) {
                _ = try OwnedDescriptor.open(loop.path, .readOnly, exclusive: true)
            }
            _ = try OwnedDescriptor.open(loop.path, .readOnly)
            try claimed.close()
        }
    }

    @Test("A claim ends with its descriptor")
    func claimEnds() async throws {
        let image = try directory.image("image", size: 1 << 20)
        let loop = try LoopDevice.attach(image)
        try OwnedDescriptor.open(loop.path, .readOnly, exclusive: true).close()
        // A tool that another test is just starting may have a copy of the descriptor for a moment.
        let free = try await eventually {
            (try? OwnedDescriptor.open(loop.path, .readOnly, exclusive: true).close()) != nil
        }
        #expect(free)
        try loop.detach()
    }

    @Test("A file system on a device is found as in its image")
    func contents() async throws {
        let image = try directory.image("image", size: 8 << 20)
        try await run("mkfs.ext4", "-q", "-F", image.string)
        let inFile = try Fingerprint(of: OwnedDescriptor.open(image, .readOnly))
        try await withLoop(image) { loop in
            let onDevice = try Fingerprint(of: OwnedDescriptor.open(loop.path, .readOnly))
            #expect(onDevice == inFile)
        }
    }

    @Test("What isn't a block device is refused with ENOTBLK")
    func notBlockDevice() throws {
        let image = try directory.image("image", size: 1 << 20)
        for path in [image, "/dev/null", directory.path] {
            let error = SystemError(operation: "open", path: path.string, errno: .notBlockDevice)
            #expect(throws: error) { try BlockDevice(path) }
        }
    }
}
