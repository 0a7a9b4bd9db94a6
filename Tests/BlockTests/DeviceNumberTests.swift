import Glibc
import SystemPackage
import Testing

@testable import Block

@Suite struct DeviceNumberTests {
    static let numbers: [(DeviceNumber, String, UInt64)] = [
        (DeviceNumber(major: 0, minor: 0), "0:0", 0),
        (DeviceNumber(major: 8, minor: 16), "8:16", 0x810),
        (DeviceNumber(major: 7, minor: 255), "7:255", 0x7FF),
        // The minor's bits from 8 on stand above the major's twelve: new_encode_dev in
        // include/linux/kdev_t.h, the form that stat(2) and LOOP_GET_STATUS64 give.
        (DeviceNumber(major: 7, minor: 256), "7:256", 0x10_0700),
        (DeviceNumber(major: 253, minor: 1_048_575), "253:1048575", 0xFFF0_FDFF),
        (DeviceNumber(major: 4095, minor: 0), "4095:0", 0xF_FF00),
    ]

    @Test("A number is printed as in sysfs, and read back", arguments: numbers)
    func roundTrip(number: DeviceNumber, text: String, raw: UInt64) {
        #expect(number.description == text)
        #expect(DeviceNumber(text) == number)
    }

    @Test("A number is packed as the kernel packs it for stat(2)", arguments: numbers)
    func packing(number: DeviceNumber, text: String, raw: UInt64) {
        #expect(number.rawValue == raw)
        #expect(DeviceNumber(raw) == number)
    }

    @Test("Even numbers that no kernel gives survive packing and printing")
    func extremes() {
        let number = DeviceNumber(major: .max, minor: .max)
        #expect(DeviceNumber(number.rawValue) == number)
        #expect(DeviceNumber(number.description) == number)
    }

    @Test(
        "Whatever isn't a number as it is printed is refused",
        arguments: [
            "", ":", "8", "8:", ":16", "8:16:", "8:16:0", "8 :16", " 8:16", "8:16 ", "8:16\n",
            "-8:16",
            "8:-16", "+8:16", "8:+16", "08:16", "8:016", "0x8:16", "8.16", "8:16\0", "८:१६", "8：16",
            "4294967296:0", "0:4294967296", "18446744073709551616:1", "/dev/sda",
        ])
    func hostile(text: String) {
        #expect(DeviceNumber(text) == nil)
    }
}

@Suite struct FileStatusTests {
    @Test("A file's kind is its own, and a link's is what it points to unless it isn't followed")
    func kinds() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.file("file", holding: "x")
        let link = directory.file("link")
        let pipe = directory.file("pipe")
        try symbolicLink(link, to: "file")
        try makePipe(pipe)
        #expect(try FileStatus(file).kind == .regular)
        #expect(try FileStatus(directory.path).kind == .directory)
        #expect(try FileStatus(link).kind == .regular)
        #expect(try FileStatus(link, follow: false).kind == .symbolicLink)
        #expect(try FileStatus(pipe).kind == .other)
        #expect(try FileStatus("/dev/null").kind == .other)
    }

    @Test("Two paths of one file have the same file system and inode, two files have not")
    func identity() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.file("file", holding: "x")
        let copy = try directory.file("copy", holding: "x")
        let hard = directory.file("hard")
        try hardLink(hard, to: file)
        let (one, two, other) = (
            try FileStatus(file), try FileStatus(hard), try FileStatus(copy)
        )
        #expect(one.fileSystem == two.fileSystem)
        #expect(one.inode == two.inode)
        #expect(one.inode != other.inode)
    }

    @Test("A sparse file's allocation is less than its size")
    func sparse() throws {
        let directory = try TemporaryDirectory()
        let status = try FileStatus(try directory.image("image", size: 64 << 20))
        #expect(status.size == ByteCount(64 << 20))
        // st_blocks counts 512 bytes whatever the file system's block is (stat(2)).
        #expect(status.allocated < ByteCount(1 << 20))
    }

    @Test("The owner and all twelve mode bits are given")
    func ownership() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.file("file", holding: "x")
        try setMode(file, 0o4751)
        let status = try FileStatus(file)
        #expect(status.permissions == 0o4751)
        #expect(status.owner == geteuid())
    }

    @Test("A device's number is that of the device, not of the file system it lies in")
    func specialFile() throws {
        // Documentation/admin-guide/devices.txt: 1 char 3 is /dev/null.
        #expect(try FileStatus("/dev/null").deviceNumber == DeviceNumber(major: 1, minor: 3))
    }

    @Test("What isn't there fails with the call, the path and ENOENT")
    func missing() throws {
        let path = try TemporaryDirectory().file("missing")
        let error = SystemError(
            operation: "stat", path: path.string, errno: .noSuchFileOrDirectory)
        #expect(throws: error) { try FileStatus(path) }
        #expect(throws: error) { try FileStatus(path, follow: false) }
    }
}
