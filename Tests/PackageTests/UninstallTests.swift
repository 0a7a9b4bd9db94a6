import Foundation
import Testing

/// `make uninstall` of a tree of its own.
@Suite struct UninstallTests {
    private let root = FileManager.default.temporaryDirectory
        .appendingPathComponent("dmsnap-uninstall-\(UUID().uuidString)")

    /// An installed program, and a registry with this text if any.
    private func uninstall(
        _ registry: String?, _ words: [String] = []
    ) throws -> (status: Int32, output: String, isThere: Bool) {
        let files = FileManager.default
        defer { try? files.removeItem(at: root) }
        let program = root.appendingPathComponent("usr/sbin/dmsnap")
        let state = root.appendingPathComponent("var/lib/dmsnap")
        try files.createDirectory(
            at: program.deletingLastPathComponent(), withIntermediateDirectories: true)
        try files.createDirectory(at: state, withIntermediateDirectories: true)
        try Data().write(to: program)
        if let registry {
            try Data(registry.utf8).write(to: state.appendingPathComponent("registry.json"))
        }
        let make = Process()
        make.executableURL = URL(fileURLWithPath: "/usr/bin/make")
        make.arguments =
            ["-s", "-C", Checkout.root.path, "uninstall", "DESTDIR=\(root.path)"] + words
        let pipe = Pipe()
        make.standardOutput = pipe
        try make.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        make.waitUntilExit()
        return (
            make.terminationStatus, String(decoding: output, as: UTF8.self),
            files.fileExists(atPath: program.path)
        )
    }

    private let active = """
        {
          "activations" : [
            {
              "base" : {
                "path" : "/snapshot"
              },
              "name" : "sda1",
              "path" : "/dev/sda1",
              "sessionPrefix" : "sda1"
            }
          ],
          "version" : 2
        }
        """

    @Test("While a device is activated it is refused, and the device named")
    func activated() throws {
        let refused = try uninstall(active)
        #expect(refused.status != 0 && refused.isThere)
        #expect(refused.output.contains("  /dev/sda1\n"))
        #expect(!refused.output.contains("/snapshot"))
        #expect(refused.output.contains("dmsnap deactivate DEVICE"))
    }

    @Test("A registry that can't be read may name any device", arguments: ["", "\0\0\0\0"])
    func damaged(text: String) throws {
        let refused = try uninstall(text)
        #expect(refused.status != 0 && refused.isThere)
        #expect(refused.output.contains("registry.json is damaged"))
    }

    @Test("With nothing activated, or FORCE=1, everything is taken away")
    func done() throws {
        for registry in [nil, "{\n  \"activations\" : [\n\n  ],\n  \"version\" : 1\n}\n"] {
            let done = try uninstall(registry)
            #expect(done.status == 0 && !done.isThere, "\(done.output)")
        }
        for registry in [active, ""] {
            let done = try uninstall(registry, ["FORCE=1"])
            #expect(done.status == 0 && !done.isThere, "\(done.output)")
        }
    }
}
