import Block
import ExceptionStore
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

@Suite struct ConfigurationTests {
    private func read(_ text: String) throws -> Configuration {
        let directory = try TemporaryDirectory()
        let layout = Layout(root: directory.path)
        try Files.makeDirectory(layout.configuration.removingLastComponent())
        try Files.replace(layout.configuration, with: Array(text.utf8))
        return try Configuration(reading: layout)
    }

    @Test("Without a file, and with an empty one, the defaults hold")
    func defaults() throws {
        let layout = Layout(root: try TemporaryDirectory().path)
        for configuration in [try Configuration(reading: layout), try read("")] {
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
            ("[store", "line 1"), ("a = ", "line 1"),
        ])
    func refused(text: String, part: String) throws {
        let error = #expect(throws: SessionsError.self) { try read(text) }
        #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("etc/dmsnap/dmsnap.toml") == true)
        #expect(error?.exitStatus == .usage)
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
        #expect(activation.baseDirectory == base.string)
        #expect(activation.chunkSize == ByteCount(2048))
        let name = try world.session()
        #expect(Files.exists(base.appending(name).appending("store")))
        #expect(try FileStatus(base).permissions == 0o700)
        // Found again when the configuration names another one.
        try Files.remove(world.layout.configuration)
        #expect(try world.sessions().map(\.record.name) == [name])
    }
}
