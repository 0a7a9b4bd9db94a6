import Foundation
import SystemPackage

/// The private directories of one run, and what the guest's first process reads there.
///
/// Everything the kernel is told by path goes through a link in here: its command line can hold
/// neither blanks nor, in a disk's path, commas and colons.
struct RunDirectory: Sendable {
    let path: FilePath
    /// Where the kernel makes the file that is the guest's memory.
    let memory: FilePath
    /// The directory that the guest sees as /vm.
    let share: FilePath

    /// Where Debian's package has the kernel's modules.
    static let modules = FilePath("/usr/lib/uml/modules")

    var console: FilePath { path.appending("console") }
    var directories: [FilePath] { [path, memory] }

    /// Checks the description and makes the directories.
    init(_ machine: Machine, _ command: Command) throws(MachineError) {
        path = try HostFiles.makePrivateDirectory(in: Self.parent)
        do {
            memory = try HostFiles.makePrivateDirectory(
                in: HostFiles.directoryForMemory(machine.memory) ?? path)
        } catch {
            try? FileManager.default.removeItem(atPath: path.string)
            throw error
        }
        do {
            share = try Self.share(machine) ?? path.appending("share")
        } catch {
            try? FileManager.default.removeItem(atPath: path.string)
            try? FileManager.default.removeItem(atPath: memory.string)
            throw error
        }
        do {
            try fill(machine, command)
        } catch {
            remove()
            if let error = error as? MachineError { throw error }
            throw .invalid("\(path): \(error)")
        }
    }

    /// Where the run's directory is made: TMPDIR, unless its path can't stand in the kernel's
    /// command line, or is hidden by the guest's own /dev when the first process starts.
    private static var parent: FilePath {
        let temporary = FilePath(FileManager.default.temporaryDirectory.path)
        guard let parent = HostFiles.canonical(temporary), !parent.starts(with: "/dev"),
            parent.string.wholeMatch(of: #/[A-Za-z0-9_.\/-]+/#) != nil
        else { return "/tmp" }
        return parent
    }

    /// The named directory, which is made if it doesn't exist.
    private static func share(_ machine: Machine) throws(MachineError) -> FilePath? {
        guard let named = machine.share else { return nil }
        try? FileManager.default.createDirectory(
            atPath: named.string, withIntermediateDirectories: true)
        guard let share = HostFiles.canonical(named), HostFiles.isDirectory(share) else {
            throw .invalid("the shared directory \(named) can't be made")
        }
        return share
    }

    /// Removes the directories.
    func remove() {
        for directory in directories {
            try? FileManager.default.removeItem(atPath: directory.string)
        }
    }

    private func fill(_ machine: Machine, _ command: Command) throws {
        let files = FileManager.default
        try HostFiles.copy(machine.guestFiles, to: path.appending("guest"))
        if machine.share == nil {
            try files.createDirectory(atPath: share.string, withIntermediateDirectories: false)
        }
        let layers = try machine.layers.map(checkedLayer)
        let allLayers = [path.appending("guest").appending("layer")] + layers
        try linkModules(into: allLayers[0])
        try write("layers", allLayers.enumerated().map { "\($0) \(Self.escaped($1))\n" }.joined())
        try write(
            "reachable", reachable(machine, layers).map { "\(Self.escaped($0))\n" }.joined())
        try linkDisks(machine.disks.map(checkedDisk))
        try write("settings", settings(machine, command))
        try write("directory", machine.workingDirectory.string)
        try write("environment", nulTerminated(environment(machine).map { "\($0)=\($1)" }))
        switch command {
        case .arguments(let arguments):
            guard !arguments.isEmpty else { throw MachineError.invalid("there is no command") }
            try write("argv", nulTerminated(arguments))
        case .script(let text):
            let script = "/run/vm/script"
            let prefix = text.hasPrefix("#!") ? [] : ["/bin/bash", "-e"]
            try write("argv", nulTerminated(prefix + [script]))
            try write("script", text)
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o755], ofItemAtPath: path.appending("script").string)
        case .shell:
            try write("argv", nulTerminated(["/bin/bash", "-i"]))
        }
    }

    /// The kernel's command line can't hold every path.
    private func linkDisks(_ files: [FilePath]) throws {
        let directory = path.appending("disks")
        try FileManager.default.createDirectory(
            atPath: directory.string, withIntermediateDirectories: false)
        for (number, file) in files.enumerated() {
            try FileManager.default.createSymbolicLink(
                atPath: directory.appending("\(number)").string, withDestinationPath: file.string)
        }
    }

    /// Where modprobe, and the kernel when it needs a module, look for them.
    private func linkModules(into layer: FilePath) throws {
        let modules = layer.appending("usr").appending("lib").appending("modules")
        let files = FileManager.default
        try files.createDirectory(atPath: modules.string, withIntermediateDirectories: true)
        for release in try files.contentsOfDirectory(atPath: Self.modules.string) {
            try files.createSymbolicLink(
                atPath: modules.appending(release).string,
                withDestinationPath: Self.modules.appending(release).string)
        }
    }

    private func write(_ name: FilePath.Component, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path.appending(name).string))
    }

    /// A path as fstab(5) wants it.
    private static func escaped(_ path: FilePath) -> String {
        // The backslash first: the others bring some of their own.
        [(#"\"#, #"\134"#), (" ", #"\040"#), ("\t", #"\011"#), ("\n", #"\012"#)]
            .reduce(path.string) { $0.replacing($1.0, with: $1.1) }
    }

    private func nulTerminated(_ items: [String]) -> String {
        items.map { $0 + "\0" }.joined()
    }

    private func checkedLayer(_ layer: FilePath) throws(MachineError) -> FilePath {
        guard let layer = HostFiles.canonical(layer), HostFiles.isDirectory(layer) else {
            throw .invalid("the layer \(layer) is not a directory")
        }
        // A directory /lib over the host's link /lib -> usr/lib would hide all libraries.
        for name in ["bin", "sbin", "lib", "lib32", "lib64"] {
            let host = FilePath("/").appending(name)
            let ours = layer.appending(name)
            if HostFiles.isSymbolicLink(host), HostFiles.isDirectory(ours),
                !HostFiles.isSymbolicLink(ours)
            {
                throw .invalid("the layer \(layer) has a directory \(name); use usr/\(name)")
            }
        }
        return layer
    }

    private func checkedDisk(_ disk: Disk) throws(MachineError) -> FilePath {
        guard disk.name.wholeMatch(of: #/[A-Za-z0-9_-]+/#) != nil else {
            throw .invalid("\(disk.name): a disk's name is of letters, digits, - and _")
        }
        if !HostFiles.exists(disk.path) {
            guard let size = disk.size else {
                throw .invalid(
                    "the disk \(disk.path) doesn't exist, and has no size to be made with")
            }
            try HostFiles.makeSparse(disk.path, size)
        }
        guard let path = HostFiles.canonical(disk.path) else {
            throw .invalid("the disk \(disk.path) can't be reached")
        }
        return path
    }

    /// What lies below a directory that the guest has of its own.
    private func reachable(_ machine: Machine, _ layers: [FilePath]) -> [FilePath] {
        let repository = HostFiles.canonical(machine.workingDirectory)
            .map(HostFiles.repository(around:))
        let wanted =
            ([repository].compactMap(\.self) + layers)
            + machine.reachable.compactMap(HostFiles.canonical)
        let hidden = wanted.filter { path in
            ["/tmp", "/run"].contains { path.starts(with: $0) && path != $0 }
        }
        // In this order a directory comes before what lies in it, and shows that, too.
        return hidden.sorted { $0.string < $1.string }.reduce(into: []) { outermost, path in
            if !outermost.contains(where: path.starts(with:)) { outermost.append(path) }
        }
    }

    private func environment(_ machine: Machine) -> [(key: String, value: String)] {
        let plain = [
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/bash",
            "LANG": "C.UTF-8", "VM_SHARE": "/vm",
            "TERM": ProcessInfo.processInfo.environment["TERM"] ?? "dumb",
        ]
        return plain.merging(machine.environment) { $1 }.sorted { $0.key < $1.key }
    }

    /// Variables for the guest's shell scripts.
    private func settings(_ machine: Machine, _ command: Command) throws(MachineError) -> String {
        let limit = machine.timeLimit.components.seconds
        // Its own path shows it in the guest, too, but for where the guest has mounts of its own.
        let named =
            machine.share != nil
            && !["/dev", "/proc", "/sys", "/vm"].contains { share.starts(with: $0) }
        var settings = [
            ("mode", machine.mode.rawValue),
            ("share", Self.escaped(share)),
            ("share_again", Self.escaped(named ? share : "")),
            ("system_disk", ""),
            ("terminal", ""),
            ("suspend_limit", "\(machine.suspendLimit.components.seconds)"),
            ("task_limit", "\(machine.taskLimit.components.seconds)"),
            ("watch_interval", "\(max(1, min(3, machine.suspendLimit.components.seconds / 4)))"),
            // The guest's clock starts a little later than ours, and what it says takes time.
            ("diagnose_at", "\(max(limit - 8, limit / 2))"),
        ]
        if let name = machine.systemDisk {
            guard let number = machine.disks.firstIndex(where: { $0.name == name }) else {
                throw .invalid("there is no disk \(name) for the guest's root")
            }
            settings[3].1 = "/dev/ubd\(Self.letter(number))"
        }
        if case .shell = command {
            settings[4].1 = Terminal.standardInput.size
        }
        return settings.map { name, value in
            "\(name)='\(value.replacing("'", with: #"'\''"#))'\n"
        }.joined()
    }

    private static func letter(_ number: Int) -> Character {
        Array("abcdefgh")[number]
    }
}
