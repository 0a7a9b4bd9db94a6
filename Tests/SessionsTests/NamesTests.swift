import Block
import FoundationEssentials
import Testing

@testable import DeviceMapper
@testable import Sessions

@Suite struct NamesTests {
    private let time = Date(timeIntervalSince1970: 1_795_516_735)

    @Test("A session's time is UTC, to the second, without separators")
    func timestamp() {
        #expect(Timestamp.text(time) == "20261124T103855Z")
        #expect(Timestamp.text(time + 0.9) == "20261124T103855Z")
        #expect(Timestamp.text(Date(timeIntervalSince1970: 0)) == "19700101T000000Z")
    }

    @Test("A second session in one second has a 2 behind its time, the next a 3")
    func attempts() {
        let names = (1...3).map { SessionName(prefix: "sdb1", time: time, attempt: $0).text }
        #expect(
            names == [
                "sdb1_20261124T103855Z", "sdb1_20261124T103855Z-2", "sdb1_20261124T103855Z-3",
            ])
    }

    @Test(
        "An image's name is its whole path, with _ for every / but the first",
        arguments: [
            ("/srv/disk.img", "srv_disk.img"), ("/disk.img", "disk.img"),
            ("/a b/ü#%.img", "a b_ü#%.img"), ("/.hidden/x", "_.hidden_x"),
            ("/with_/_x", "with___x"),
        ])
    func images(path: String, prefix: String) {
        #expect(SessionName.prefix(imagePath: ByteText(path)).text == prefix)
        #expect(
            SessionName(SessionName(prefix: ByteText(prefix), time: time, attempt: 1).text) != nil)
    }

    @Test("A name is cut to a directory's 255 bytes, its time never", arguments: [1, 2, 1000])
    func limit(attempt: Int) {
        for letter in ["a", "ü", "𝕏", "e\u{301}"] {
            let long = String(repeating: letter, count: 300)
            let name = SessionName(prefix: ByteText(long), time: time, attempt: attempt).text
            #expect(name.utf8.count <= 255)
            #expect(name.utf8.count > 245)
            #expect(name.hasSuffix(attempt == 1 ? "_20261124T103855Z" : "Z-\(attempt)"))
            #expect(SessionName(name) != nil)
        }
    }

    @Test(
        "What could not be a session's directory is no session's name",
        arguments: [
            "", ".", "..", ".armed", "a/b", "/a", "a\0b", String(repeating: "a", count: 256),
        ])
    func refused(text: String) {
        #expect(SessionName(text) == nil)
    }

    @Test("A / in a kernel's name is a ! as in sysfs")
    func kernelNames() {
        #expect(SessionName.prefix(kernelName: "cciss/c0d0") == "cciss!c0d0")
    }

    @Test("A wanted name is taken as it is, or gets the first free number")
    func unique() {
        #expect(MapperNames.unique("sdb1") { _ in false } == "sdb1")
        #expect(MapperNames.unique("a") { ["a", "a-2", "a-3"].contains($0) } == "a-4")
        #expect(MapperNames.unique("cciss/c0d0") { _ in false } == "cciss-c0d0")
        #expect(MapperNames.unique("") { _ in false } == "device")
    }

    @Test(
        "Names of any length and letters make device-mapper names, with a store's number behind",
        arguments: ["a", " ", "ü", "#", "\n", "\\x20", "𝕏"])
    func long(letter: String) {
        let wanted = String(repeating: letter, count: 200)
        let name = MapperNames.unique(ByteText(wanted)) {
            $0.text == wanted || !$0.text.hasSuffix("-77")
        }
        #expect(name.text.hasSuffix("-77"))
        for store in [1, 9_999_999_999] {
            #expect(DeviceName("\(MapperNames.snapshotPrefix)\(name)-\(store)") != nil)
        }
        #expect(DeviceName(MapperNames.originPrefix + name.text) != nil)
    }
}
