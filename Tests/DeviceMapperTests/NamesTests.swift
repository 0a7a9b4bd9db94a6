import Testing

@testable import DeviceMapper

@Suite struct DeviceNameTests {
    /// A name, and the kernel's form of it: what udev's whitelist lacks is `\xNN`, byte by byte
    /// (mangle_string in libdm-common.c).
    static let names: [(String, String)] = [
        ("dmsnap", "dmsnap"),
        ("vg-lv", "vg-lv"),
        ("Az09#+-.:=@_", "Az09#+-.:=@_"),
        ("a b", #"a\x20b"#),
        ("a\nb\t", #"a\x0ab\x09"#),
        ("100%s", #"100\x25s"#),
        ("'\"`$()*?", #"\x27\x22\x60\x24\x28\x29\x2a\x3f"#),
        ("é", #"\xc3\xa9"#),
        ("日本", #"\xe6\x97\xa5\xe6\x9c\xac"#),
        ("\u{1}\u{7f}", #"\x01\x7f"#),
        // What looks escaped is a name like any other.
        (#"a\x20b"#, #"a\x5cx20b"#),
        (#"a\x5cx20b"#, #"a\x5cx5cx20b"#),
        (#"\"#, #"\x5c"#),
        (#"a\x"#, #"a\x5cx"#),
        ("...", "..."),
        (".hidden", ".hidden"),
        ("~[]{}^", #"\x7e\x5b\x5d\x7b\x7d\x5e"#),
    ]

    @Test(
        "A name is escaped as udev makes the link, and the node is under /dev/mapper",
        arguments: names)
    func escaping(text: String, escaped: String) throws {
        let name = try #require(DeviceName(text))
        #expect(name.text == text)
        #expect(name.escaped == escaped)
        #expect(name.path == "/dev/mapper/" + escaped)
        #expect(name.description == text)
    }

    @Test("The kernel's form is read back to the name it was made of", arguments: names)
    func unescaping(text: String, escaped: String) {
        #expect(DeviceName(escaped: escaped) == DeviceName(text))
        #expect(DeviceName(escaped: escaped) != nil)
    }

    @Test(
        "A kernel's name that was made without escaping is none of ours",
        arguments: [
            "", "a b", "é", #"a\b"#, #"a\x"#, #"a\x2"#, #"a\xzz"#, #"a\x+5b"#, #"a\X20b"#,
            #"a\x2Fb"#,
            #"a\x2fb"#, #"a\x00b"#, #"a\x41b"#, #"a\x5Cb"#, #"\xff"#, #"\xc3"#, #"\x2e"#, "/",
            "control",
        ])
    func notEscaped(escaped: String) {
        #expect(DeviceName(escaped: escaped) == nil)
    }

    @Test("A name has 1 to 127 bytes in the kernel's form, and 128 are refused")
    func limit() {
        // DM_NAME_LEN in linux/dm-ioctl.h is 128 with the terminating zero.
        #expect(DeviceName("") == nil)
        #expect(DeviceName("a") != nil)
        #expect(DeviceName(String(repeating: "a", count: 127)) != nil)
        #expect(DeviceName(String(repeating: "a", count: 128)) == nil)
        #expect(DeviceName(escaped: String(repeating: "a", count: 128)) == nil)
    }

    @Test(
        "Escapes count four bytes a byte",
        arguments: [
            (" ", 31, 3), ("%", 31, 3), ("é", 15, 7), ("日", 10, 7), ("🧿", 7, 15), ("#", 127, 0),
        ])
    func escapedLimit(character: String, most: Int, rest: Int) {
        let full = String(repeating: character, count: most) + String(repeating: "a", count: rest)
        #expect(DeviceName(full)?.escaped.utf8.count == 127)
        #expect(DeviceName(full + "a") == nil)
    }

    @Test(
        "What can't be a file's name in /dev/mapper is refused, and the control device's name with it",
        arguments: [".", "..", "/", "a/b", "/dev/sda", "../sda", "a\0", "\0", "control"])
    func impossible(text: String) {
        // check_name in drivers/md/dm-ioctl.c refuses `/`; later kernels the other names as well.
        #expect(DeviceName(text) == nil)
    }

    @Test("Names that only look alike are different ones")
    func alike() {
        #expect(DeviceName("A")?.escaped != DeviceName("a")?.escaped)
        // Swift takes these two for the same text; a kernel doesn't.
        #expect(DeviceName("\u{e9}")?.escaped == #"\xc3\xa9"#)
        #expect(DeviceName("e\u{301}")?.escaped == #"e\xcc\x81"#)
    }
}

@Suite struct DeviceUUIDTests {
    @Test("A UUID has 1 to 128 bytes")
    func limit() {
        // DM_UUID_LEN in linux/dm-ioctl.h is 129 with the terminating zero.
        #expect(DeviceUUID("") == nil)
        #expect(DeviceUUID(String(repeating: "a", count: 128)) != nil)
        #expect(DeviceUUID(String(repeating: "a", count: 129)) == nil)
    }

    @Test("A UUID of udev's plain characters is kept as it is")
    func plain() {
        #expect(DeviceUUID("ID-0aZ#+-.:=@_")?.text == "ID-0aZ#+-.:=@_")
        #expect(DeviceUUID("ID-0aZ")?.description == "ID-0aZ")
    }

    @Test(
        "A UUID that would have to be escaped is refused",
        arguments: ["a b", "a/b", "a\n", "é", "a\0", #"a\x20"#, "%", "\"", "🧿"])
    func hostile(text: String) {
        #expect(DeviceUUID(text) == nil)
    }
}
