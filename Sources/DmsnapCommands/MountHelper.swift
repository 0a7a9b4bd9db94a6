import Block
import CLinux
import ExceptionStore
import Glibc
import Sessions
import SystemPackage

/// `mount.dmsnap SOURCE DIR [-fnrsvw] [-o OPTIONS] [-t TYPE]`: what mount(8) runs for
/// `mount -t dmsnap` (mount(8), "External helpers").
///
/// Options of ours among OPTIONS: `passfile=F` to activate at need, `chunk-size=SIZE`,
/// `store-dir=DIR`, `fstype=TYPE` where it isn't to be detected. All others go on to mount(8).
/// The exit statuses are mount(8)'s.
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
                switch word {
                case "-o": text.append(words[index])
                case "-t": type = words[index]
                // Another mount namespace.
                default: flags += [word, words[index]]
                }
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
    var isFake: Bool { flags.contains { $0.hasPrefix("-") && $0.dropFirst().contains("f") } }

    /// Whether a mount that is there already is to be changed, rather than one made.
    private var isChange: Bool { options.contains { $0 == "remount" || $0.hasPrefix("remount=") } }

    /// Runs what mount(8) asks for; its exit status is one of mount(8)'s.
    static func run(_ words: [String]) -> Int32 {
        let helper: MountHelper
        do {
            helper = try MountHelper(words)
        } catch {
            Output.diagnose("\(error)")
            return MountStatus.usage.rawValue
        }
        do {
            return try helper.run()
        } catch {
            Output.diagnose("\(error)")
            return MountStatus(error).rawValue
        }
    }

    /// The image, and the loop device that mount(8) has attached it to.
    private struct Attached {
        let image: String
        let loop: LoopDevice
    }

    /// Activates at need, then mounts the origin. What was activated for a mount that then fails is
    /// deactivated again.
    private func run() throws -> Int32 {
        let service = try SnapshotService.forRoot(to: "mount")
        var activation = try service.find(source)
        let attached = try activation == nil ? attachedByMount() : nil
        let named = attached?.image ?? source
        if attached != nil { activation = try service.find(named) }
        if isFake { return MountStatus.success.rawValue }
        if let activation, try isMounted(service.path(of: activation).text) {
            return MountStatus.success.rawValue
        }
        // Before anything is activated for it.
        guard (try? FileStatus(FilePath(directory)).kind) == .directory else {
            throw SessionsError.unsuitable(
                device: directory, reason: "there is no such directory to mount on; make it first")
        }
        var isNew = false
        let request = ActivationRequest(
            chunkSize: chunkSize, place: storeDirectory.map { .directory($0) } ?? .configured,
            loop: attached?.loop.path)
        if let activation {
            try warnOfDifference(activation, from: request, service)
        } else {
            try service.password.verify(
                Terminal.password(
                    passfile: passfile, prompt: "dmsnap password: ", option: "-o passfile=FILE"))
            switch try service.activate(named, request) {
            case .activated(let made):
                activation = made
                isNew = true
                // It would be gone with the tables, before it is detached: nothing of ours does that.
                if let loop = attached?.loop,
                    let opened = try? OwnedDescriptor.open(loop.path, .readOnly)
                {
                    _ = clinux_loop_keep(opened.descriptor.rawValue)
                }
            case .alreadyActive(let made): activation = made
            }
        }
        guard let activation else { throw SessionsError.notActivated(source) }
        do {
            let status = try mount(activation, service)
            if status != MountStatus.success.rawValue, isNew { try service.deactivate(named) }
            return status
        } catch {
            if isNew { try service.deactivate(named) }
            throw error
        }
    }

    /// An option that says how to activate does nothing of what is activated otherwise. That is told, and no
    /// more: a boot isn't to end at it.
    private func warnOfDifference(
        _ activation: Activation, from request: ActivationRequest, _ service: SnapshotService
    ) throws {
        var request = request
        if activation.restoreAt != nil { request.mode = .anyOverlay }
        guard let what = try service.difference(from: request, of: activation) else { return }
        Output.diagnose(
            "\(activation.path): it is activated \(what), and mounted so; to change that, deactivate it "
                + "first")
    }

    /// mount(8) attaches an image to a loop device of its own for `loop`, `offset=` and `sizelimit=`
    /// before it calls us, and has it open until we have ended: it can't be detached. So the image is
    /// activated with this loop device as its own. (Of an activated image mount(8) finds ours.)
    ///
    /// - Returns: nil if the source is no loop device that mount(8) made.
    private func attachedByMount() throws -> Attached? {
        guard let loop = LoopDevice(FilePath(source)), let backing = loop.backing,
            attribute("loop/autoclear", of: loop) == "1"
        else { return nil }
        func refusal(_ reason: String) -> SessionsError {
            .unsuitable(device: backing.path, reason: reason)
        }
        guard backing.isWhole else {
            throw refusal("an image is activated as a whole; leave offset= and sizelimit= out")
        }
        guard attribute("ro", of: loop) == "0" else {
            throw refusal("mount(8) has attached it for reading only to \(source); leave loop out")
        }
        // The path is the one that it was attached by, wherever it leads to now.
        guard let status = try? FileStatus(FilePath(backing.path)), status.inode == backing.inode,
            DeviceNumber(status.fileSystem) == DeviceNumber(backing.fileSystem)
        else { throw refusal("it is not what mount(8) has attached to \(source); leave loop out") }
        return Attached(image: backing.path, loop: loop)
    }

    private func attribute(_ name: String, of loop: LoopDevice) -> String? {
        Sysfs.attribute(FilePath("/sys/block/loop\(loop.index)/\(name)"))
    }

    /// Whether the origin is what is mounted on the directory, so that nothing is left to be done:
    /// mount(8) sees that itself only where the source is the same (`mount -a`, run again).
    private func isMounted(_ origin: String) throws -> Bool {
        guard !isChange, !flags.contains("-N"), let status = try? FileStatus(FilePath(origin)),
            let target = try? Files.resolve(FilePath(directory)).string
        else { return false }
        // Of several mounts on one directory the last one is seen.
        guard let top = try MountTable.read().last(where: { $0.target == target }) else {
            return false
        }
        return try MountTable.mounts(of: status.deviceNumber).contains(top)
    }

    private func mount(_ activation: Activation, _ service: SnapshotService) throws -> Int32 {
        if try service.missing().contains(where: { $0.id == activation.id }) {
            if case .notThere = try service.assemble(activation.id) {
                throw SessionsError.noSuchDevice(source)
            }
        }
        try MonitorLauncher.ensureRunning(service.layout)
        var command = ["/bin/mount", "-i"] + flags.filter { $0 != "-s" } + ["-t", type]
        if !options.isEmpty { command += ["-o", options.joined(separator: ",")] }
        command += [service.path(of: activation).text, directory]
        let status = try Program.run(command)
        return status < 128 ? status : MountStatus.interrupted.rawValue
    }
}

/// The exit statuses of mount(8), which its helpers have, too.
enum MountStatus: Int32 {
    case success = 0
    case usage = 1
    case system = 2
    case software = 4
    case interrupted = 8
    case failure = 32

    /// What an error of the domain is to mount(8).
    init(_ error: any Error) {
        guard let error = error as? SessionsError else {
            self = .system
            return
        }
        self =
            switch error {
            case .notRoot, .noPassword, .wrongPassword, .passfile: .usage
            case .noDeviceMapper: .system
            case .internalFault: .software
            default: .failure
            }
    }
}
