import Foundation
import Testing

/// The systemd unit as it is installed.
@Suite struct UnitTests {
    /// Above this much exposure nothing is released; `systemd-analyze security` goes from 0 to 10.
    private static let most = 2.9

    private func unit() throws -> String {
        let text = try String(
            contentsOf: Checkout.root.appendingPathComponent("systemd/dmsnap-monitor.service"),
            encoding: .utf8)
        return text.replacingOccurrences(of: "@SBINDIR@", with: "/usr/sbin")
    }

    private func exposure(_ unit: String) throws -> Double {
        let files = FileManager.default
        let folder = files.temporaryDirectory.appendingPathComponent("dmsnap-\(UUID().uuidString)")
        try files.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? files.removeItem(at: folder) }
        let path = folder.appendingPathComponent("dmsnap-monitor.service")
        try Data(unit.utf8).write(to: path)
        let tool = Process()
        tool.executableURL = URL(fileURLWithPath: "/usr/bin/systemd-analyze")
        tool.arguments = ["security", "--offline=true", "--no-pager", path.path]
        let pipe = Pipe()
        tool.standardOutput = pipe
        try tool.run()
        let output = String(
            decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        tool.waitUntilExit()
        let line = try #require(output.split(separator: "\n").last, "\(output)")
        let figure = try #require(line.firstMatch(of: /exposure level for .*: ([0-9.]+)\s/))
        return try #require(Double(figure.1))
    }

    @Test("The monitor's exposure is below 3.0")
    func isSmall() throws {
        let unit = try unit()
        #expect(try exposure(unit) <= Self.most)
        // And the figure is the unit's.
        let bare = unit.replacingOccurrences(of: "CapabilityBoundingSet=", with: "#")
            .replacingOccurrences(of: "SystemCallFilter=", with: "#")
        #expect(try exposure(bare) > 4)
    }

    @Test("No directive gives the monitor a mount namespace of its own")
    func mounts() throws {
        // Those that do (systemd.exec(5), "mount namespac"), but for their harmless values.
        let directives = [
            "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables",
            "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc",
            "ProcSubset", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths",
            "NoExecPaths", "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "MountFlags",
            "RootDirectory", "RootImage", "DynamicUser", "PrivateIPC", "PrivateUsers",
            "MountAPIVFS", "LogNamespace", "MountImages", "ExtensionImages",
        ]
        let lines = try unit().split(separator: "\n").map(String.init)
        let wrong = lines.filter { line in directives.contains { line.hasPrefix("\($0)=") } }
        #expect(wrong == [])
        #expect(lines.contains("PrivateMounts=no"))
    }
}
