import Block
import ExceptionStore
import Glibc
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct ConfigurationTests {
    private func read(_ text: String) throws -> Configuration {
        try read(Array(text.utf8))
    }

    private func read(_ bytes: [UInt8]) throws -> Configuration {
        let directory = try TemporaryDirectory()
        let layout = Layout(root: directory.path)
        try Files.makeDirectory(layout.configuration.removingLastComponent())
        try Files.replace(layout.configuration, with: bytes)
        return try Configuration(reading: layout)
    }

    @Test("Without a file, and with one that sets nothing, the defaults hold")
    func defaults() throws {
        let layout = Layout(root: try TemporaryDirectory().path)
        for configuration in [
            try Configuration(reading: layout), try read("\n"), try read("# nothing\n\t \n"),
        ] {
            #expect(configuration.sessionsDirectory.string.hasSuffix("/snapshot"))
            #expect(!configuration.keepsEmptySessions)
            #expect(configuration.chunkSize == .kernelDefault)
            #expect(configuration.warnPercent == 80)
        }
    }

    @Test("Every key is read")
    func keys() throws {
        let configuration = try read(
            """
            # a comment
            [sessions]
            directory = "/srv/sessions"
            keep-empty = true
            [store]
            chunk-size = "64K"
            warn-percent = 50
            """)
        #expect(configuration.sessionsDirectory == "/srv/sessions")
        #expect(configuration.keepsEmptySessions)
        #expect(configuration.chunkSize.bytes == ByteCount(64 << 10))
        #expect(configuration.warnPercent == 50)
    }

    @Test("What stays is read for all devices and for single ones, which take the rest from there")
    func retention() throws {
        let retention = try read(
            """
            [retention]
            keep-last = 20
            keep-within = "30d"
            min-free = "5G"
            [retention."disk.img"]
            max-size = "20%"
            keep-last = 3
            [retention."/dev/sda1"]
            keep-within = "2w"
            """
        ).retention
        #expect(retention.minFree == .bytes(ByteCount(5 << 30)))
        let image = retention.rules(path: "/srv/disk.img", name: "disk.img")
        #expect(image.keepLast == 3 && image.maxSize == .percent(20))
        #expect(image.keepWithin == UInt64(30 * 86400))
        let disk = retention.rules(path: "/dev/sda1", name: "sda1")
        #expect(disk.keepLast == 20 && disk.keepWithin == 14 * 86400 && disk.maxSize == nil)
        #expect(retention.rules(path: "/dev/sdb", name: "sdb") == retention.rules)
        let standard = try read("\n").retention
        #expect(standard == RetentionSettings() && standard.minFree == .percent(10))
        let size = ByteCount(100 << 30)
        #expect(standard.minFree(of: size, reserve: ByteCount(1 << 30)).bytes == 10 << 30)
        #expect(standard.minFree(of: size, reserve: ByteCount(20 << 30)).bytes == 20 << 30)
        let never = try read("[retention]\nmin-free = \"0%\"").retention
        #expect(never.minFree(of: size, reserve: ByteCount(1 << 30)).bytes == 0)
    }

    @Test(
        "A value may be written in each of TOML's ways for it",
        arguments: [
            "[sessions]\ndirectory='/srv/é'\n[store]\nwarn-percent=50 # half",
            "sessions.directory = \"/srv/\\u00e9\"\r\nstore.warn-percent = +50\r\n",
            "\u{FEFF}[ sessions ]\n'directory' = \"/srv/\\U000000E9\" "
                + "\n\t[ \"store\" ]\nwarn-percent = 0x32",
            "store . \"warn-percent\" = 0b11_0010\nsessions.directory = '/srv/é'#",
        ])
    func forms(text: String) throws {
        let configuration = try read(text)
        #expect(configuration.sessionsDirectory == "/srv/é")
        #expect(configuration.warnPercent == 50)
    }

    @Test(
        "What can't be is refused, and its key named",
        arguments: [
            ("[sessions]\ndirectory = \"relative\"", "sessions.directory"),
            ("[sessions]\ndirectory = 1", "sessions.directory"),
            ("[sessions]\nkeep-empty = \"yes\"", "sessions.keep-empty"),
            ("[store]\nchunk-size = \"5K\"", "store.chunk-size"),
            ("[store]\nchunk-size = 4096", "store.chunk-size"),
            ("[store]\nwarn-percent = 0", "store.warn-percent"),
            ("[store]\nwarn-percent = 100", "store.warn-percent"),
            ("[store]\nwarn-percent = 80.0", "store.warn-percent"),
            ("[store]\nsize = 1", "store.size is unknown"),
            ("[other]\na = 1", "other.a is unknown"), ("directory = \"/a\"", "directory"),
            ("[retention]\nkeep-last = 0", "retention.keep-last"),
            ("[retention]\nkeep-last = \"3\"", "retention.keep-last"),
            ("[retention]\nkeep-within = 30", "retention.keep-within"),
            ("[retention]\nkeep-within = \"30m\"", "retention.keep-within"),
            ("[retention]\nmax-size = \"0%\"", "retention.max-size"),
            ("[retention]\nmin-free = \"101%\"", "retention.min-free"),
            ("[retention]\nkeep = 1", "retention.keep is unknown"),
            ("[archive]\nafter = \"/bin/true\"", "archive.after"),
            ("[archive]\nafter = [\"true\"]", "absolute"), ("[archive]\nafter = [1]", "strings"),
            ("[archive]\nafter = [\"/a\" \"b\"]", "neither , nor ]"),
            ("[archive]\nafter = [\"/a\",\n\"b\"]", "in one line"),
            ("[archive]\nafter = [\"/a\"", "neither , nor ]"),
            ("[archive]\nafter = [,]", "strings"),
            ("[archive]\nafter = [\"/a\"] x", "behind its end"),
            ("[archive]\nthreads = [\"1\"]", "archive.threads"),
            ("[retention.sda]\nmin-free = \"1%\"", "retention.sda.min-free is unknown"),
            ("[retention.a.b]\nkeep-last = 1", "retention.a.b.keep-last is unknown"),
            ("[store", "line 1"), ("a = ", "line 1"), ("[[[", "line 1"), ("[", "line 1"),
            ("\n[ =]", "line 2"), ("[é]", "line 1"), ("[]", "line 1"), ("[[store]]", "line 1"),
            ("[store]\n\n[store]", "line 3"), ("[store] x", "line 1"), ("[store]\nx", "line 2"),
            ("store.a = 1\nstore.a = 1", "store.a is there twice"),
            ("[store]\nwarn-percent = 1979-05-27", "store.warn-percent"),
            ("[store]\nwarn-percent = [1]", "store.warn-percent"),
            ("[store]\nwarn-percent = 050", "store.warn-percent"),
            ("[store]\nwarn-percent = 5_", "store.warn-percent"),
            ("[store]\nwarn-percent = 99999999999999999999", "store.warn-percent"),
            ("store = { warn-percent = 5 }", "store"), ("store.a.b = 1", "store.a.b is unknown"),
            ("[store]\nchunk-size = \"4K", "line 2"), ("[store]\na = \"\"\"4K", "line 2"),
            ("[store]\nchunk-size = \"\\x\"", "line 2"),
            ("[store]\nchunk-size = \"\\uD800\"", "line 2"), ("# \u{7}", "line 1"),
        ])
    func refused(text: String, part: String) throws {
        let error = #expect(throws: SessionsError.self) { try read(text) }
        #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("etc/dmsnap/dmsnap.toml") == true)
        #expect(error?.exitStatus == .usage)
    }

    @Test(
        "What a power cut leaves of a file, and what is no text, is refused and not the defaults",
        arguments: [
            ([], "empty"), ([0, 0, 0, 0], "zero bytes"), (Array("[store]\n".utf8) + [0], "zero"),
            (Array("# caf".utf8) + [0xe9], "no UTF-8"),
            (Array("[sessions]\ndirectory = \"/caf".utf8) + [0xe9, 0x22], "no UTF-8"),
            (Array("[sessions]\ndirectory = \"/caf\u{FFFD}\"".utf8), "sessions.directory"),
            (Array("[sessions]\ndirectory = \"/caf\\uFFFD\"".utf8), "sessions.directory"),
            (Array("[sessions]\ndirectory = \"/a\\u0000b\"".utf8), "zero character"),
        ] as [([UInt8], String)])
    func silent(bytes: [UInt8], part: String) throws {
        let error = #expect(throws: SessionsError.self) { try read(bytes) }
        #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
        #expect(error?.exitStatus == .usage)
    }

    @Test("What is no regular file is refused at once, a FIFO that nobody writes to as well")
    func irregular() throws {
        for kind in ["fifo", "directory", "device"] {
            let directory = try TemporaryDirectory()
            let layout = Layout(root: directory.path)
            let path = layout.configuration
            try Files.makeDirectory(path.removingLastComponent())
            unsafe path.withPlatformString { name in
                switch kind {
                case "fifo": #expect(unsafe mkfifo(name, 0o600) == 0)
                case "directory": #expect(unsafe mkdir(name, 0o700) == 0)
                default: #expect(unsafe symlink("/dev/zero", name) == 0)
                }
            }
            let error = #expect(throws: SessionsError.self) { try Configuration(reading: layout) }
            #expect(error?.exitStatus == .usage, "\(kind)")
            #expect(error?.description.contains("no regular file") == true, "\(kind)")
        }
    }

    @Test("The configured directory and chunk size are those of an activation")
    func used() throws {
        let world = try World()
        let base = world.layout.runDirectory.removingLastComponent().appending("base")
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        try Files.replace(
            world.layout.configuration,
            with: Array(
                "[sessions]\ndirectory = \"\(base)\"\n[store]\nchunk-size = \"2K\"\n".utf8))
        guard case .activated(let activation) = try world.service().activate(world.disk().string)
        else { throw Unexpected("no activation") }
        #expect(activation.base.path.text == base.string)
        #expect(activation.chunkSize == ByteCount(2048))
        let name = try world.session()
        #expect(Files.exists(base.appending(name).appending("store")))
        #expect(try FileStatus(base).permissions == 0o700)
        // Found again when the configuration names another one.
        try Files.remove(world.layout.configuration)
        #expect(try world.sessions().map(\.record.name.text) == [name])
    }
}
