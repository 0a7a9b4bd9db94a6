import Block
import ExceptionStore
import Glibc
import Sessions
import SystemPackage

/// `mount.dmsnap SOURCE DIR [-fnrsvw] [-o OPTIONS] [-t TYPE]`: what mount(8) runs for
/// `mount -t dmsnap` (mount(8), "External helpers").
///
/// Options of ours among OPTIONS: `passfile=F` to activate at need, `chunk-size=SIZE`,
/// `store-dir=DIR`, `fstype=TYPE` where it isn't to be detected. All others go on to mount(8).
struct MountHelper {
    private(set) var source: String
    private(set) var directory: String
    private(set) var flags: [String] = []
    private(set) var options: [String] = []
    private(set) var type = "auto"
    private(set) var passfile: String?
    private(set) var chunkSize: ChunkSize?
    private(set) var storeDirectory: FilePath?

    /// - Throws: `unsuitable` for words that mount(8) doesn't pass.
    init(_ words: [String]) throws {
        var names: [String] = []
        var index = 0
        var text: [String] = []
        while index < words.count {
            let word = words[index]
            index += 1
            switch word {
            case "-o", "-t", "-N":
                guard index < words.count else { throw Self.usage("\(word) needs a value") }
                if word == "-o" { text.append(words[index]) }
                if word == "-t" { type = words[index] }
                index += 1
            case _ where word.hasPrefix("-"): flags.append(word)
            default: names.append(word)
            }
        }
        guard names.count == 2 else { throw Self.usage("give a SOURCE and a DIR") }
        source = names[0]
        directory = names[1]
        if type.hasPrefix("dmsnap") { type = type == "dmsnap" ? "auto" : String(type.dropFirst(7)) }
        for option in text.joined(separator: ",").split(separator: ",").map(String.init) {
            try take(option)
        }
    }

    private static func usage(_ reason: String) -> SessionsError {
        .unsuitable(
            device: "mount -t dmsnap", reason: "\(reason); as in `mount -t dmsnap disk.img /mnt`")
    }

    private mutating func take(_ option: String) throws {
        let parts = option.split(separator: "=", maxSplits: 1).map(String.init)
        switch (parts.first, parts.count) {
        case ("passfile", 2): passfile = parts[1]
        case ("fstype", 2): type = parts[1]
        case ("store-dir", 2): storeDirectory = FilePath(parts[1])
        case ("chunk-size", 2):
            do {
                chunkSize = try ChunkSize(parsing: parts[1])
            } catch {
                throw SessionsError.unsuitable(device: option, reason: "\(error)")
            }
        // mount(8)'s own loop option: the image is attached by us.
        case ("loop", _), ("auto", 1), ("noauto", 1), ("defaults", 1), ("nofail", 1): break
        default: options.append(option)
        }
    }

    /// `mount -f`: everything but what would change something.
    var isFake: Bool { flags.contains { $0.dropFirst().contains("f") } }

    /// Activates at need, then mounts the origin; mount(8)'s exit status is ours.
    func run() throws -> Int32 {
        let service = try SnapshotService.forRoot(to: "mount")
        var activation = try service.find(source)
        if isFake { return ExitStatus.success.rawValue }
        if activation == nil {
            try service.password.verify(
                Terminal.password(
                    passfile: passfile, prompt: "dmsnap password: ", option: "-o passfile=FILE"))
            switch try service.activate(
                source, chunkSize: chunkSize, directory: storeDirectory)
            {
            case .activated(let made), .alreadyActive(let made): activation = made
            }
        }
        guard let activation else { throw SessionsError.notActivated(source) }
        if try service.missing().contains(where: { $0.id == activation.id }) {
            if case .notThere = try service.assemble(activation.id) {
                throw SessionsError.noSuchDevice(source)
            }
        }
        try MonitorLauncher.ensureRunning(service.layout)
        var command = ["/bin/mount", "-i"] + flags.filter { $0 != "-s" } + ["-t", type]
        if !options.isEmpty { command += ["-o", options.joined(separator: ",")] }
        command += [service.path(of: activation), directory]
        return replaceProcess(command)
    }

    private func replaceProcess(_ command: [String]) -> Int32 {
        var words = unsafe command.map { unsafe strdup($0) } + [nil]
        StandardDescriptors.closeOthersOnExec()
        unsafe execv(command[0], &words)
        Output.diagnose("\(command[0]): \(Errno(rawValue: errno))")
        return ExitStatus.software.rawValue
    }
}
