import SystemPackage
import Testing

@testable import Block

@Suite struct SysfsTests {
    @Test(
        "An attribute is its text without the newline at its end, and that newline only",
        arguments: [
            ("", ""), ("\n", ""), ("1\n", "1"), ("1", "1"), ("a\n\n", "a\n"), ("a \n", "a "),
            ("a\r\n", "a\r"), ("\r\n", "\r"), ("e\u{301}\n", "e\u{301}"),
        ])
    func attribute(content: String, value: String) throws {
        let directory = try TemporaryDirectory()
        let file = try directory.file("attribute", holding: content)
        // As bytes: Swift holds texts equal that a file system doesn't.
        #expect(Sysfs.attribute(file).map { Array($0.utf8) } == Array(value.utf8))
    }

    @Test("There is no text where there is no attribute")
    func missing() throws {
        #expect(Sysfs.attribute(try TemporaryDirectory().file("missing")) == nil)
    }

    @Test("A device's directory is found by its number")
    func directory() {
        let path = Sysfs.directory(DeviceNumber(major: 253, minor: 1))
        #expect(path == "/sys/dev/block/253:1")
    }

    @Test("A device that isn't there has no name, no disk, no relations, and rests on itself alone")
    func nothing() {
        let number = DeviceNumber(major: 4095, minor: 4095)
        #expect(Sysfs.kernelName(number) == nil)
        #expect(Sysfs.disk(ofPartition: number) == nil)
        #expect(Sysfs.related(number, "holders").isEmpty)
        #expect(Sysfs.partitions(number).isEmpty)
        #expect(Sysfs.foundations(of: number) == [number])
    }

    @Test(
        "Completed writes are the fifth field of the statistics, and nothing where there are fewer")
    func writesCompleted() {
        // A disk's of Linux 6.1: reads, merged, sectors, ms; writes, merged, sectors, ms; and others.
        let line =
            "   85031    28120  8177682    30122   294510   306180 10522296   208430        0"
            + "   117560   257380    13310        0 39872112    12288     9120     6539"
        #expect(Sysfs.writesCompleted(statistics: line) == 294_510)
        #expect(Sysfs.writesCompleted(statistics: "1 2 3 4 18446744073709551615 6") == .max)
        #expect(Sysfs.writesCompleted(statistics: "1 2 3 4") == nil)
        #expect(Sysfs.writesCompleted(statistics: "1 2 3 4 -5 6") == nil)
        #expect(Sysfs.writesCompleted(statistics: "") == nil)
        #expect(Sysfs.writesCompleted(statistics: "48 0 2088 0 0 0 0 0") == 0)
        // A device that nobody can have looked at doesn't count.
        #expect(Sysfs.writesCompleted(statistics: "0 0 0 0 0 0 0 0") == nil)
        #expect(Sysfs.writesCompleted(by: DeviceNumber(major: 4095, minor: 4095)) == nil)
    }
}
