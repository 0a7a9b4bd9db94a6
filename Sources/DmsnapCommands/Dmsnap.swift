public import ArgumentParser
import Glibc
import Sessions
import SystemPackage

/// `dmsnap`, the command.
public struct Dmsnap: ParsableCommand {
    /// The verbs, in the order a user meets them.
    public static let configuration = CommandConfiguration(
        commandName: "dmsnap",
        abstract: "One snapshot session per mount, and the way back.",
        discussion: """
            Activate a block device or an image file once; from then on every mount of it is a \
            session: what the mount overwrites is kept, and `dmsnap restore` puts the device back \
            to what it was before that mount, byte for byte.
            """,
        version: "dmsnap \(Version.text)",
        subcommands: [
            Activate.self, Deactivate.self, Status.self, Sessions.self, Show.self, Browse.self,
            Copy.self, Diff.self, Changes.self, Export.self, Send.self, Receive.self, Verify.self,
            Restore.self, Reset.self, Checkpoint.self, Try.self, Discard.self, Commit.self,
            SetVerb.self, GroupVerb.self,
            Apply.self,
            Label.self, Pin.self, Unpin.self, Delete.self,
            Prune.self, Passwd.self, Doctor.self, Assemble.self,
            MonitorVerb.self,
            SessionOpened.self, AfterArchive.self,
            DeviceClaimed.self,
        ])

    /// For ArgumentParser.
    public init() {}

    /// Runs the program's arguments, and ends it with the status of the contract.
    public static func run() -> Never {
        // A closed standard output is an error to report, not a death without a word.
        signal(SIGPIPE, SIG_IGN)
        // With it libdevmapper makes nodes itself and waits for no rule, here and in the monitor; and
        // it has asked before main.
        if unsafe getenv("DM_DISABLE_UDEV") != nil {
            unsafe unsetenv("DM_DISABLE_UDEV")
            unsafe execv("/proc/self/exe", CommandLine.unsafeArgv)
        }
        raiseDescriptorLimit()
        do {
            let words = Array(CommandLine.arguments.dropFirst())
            if CommandLine.arguments.first?.hasSuffix("mount.dmsnap") == true {
                Glibc.exit(MountHelper.run(words))
            }
            if Completion.isAskedFor(words) {
                try Completion.print()
                Glibc.exit(ExitStatus.success.rawValue)
            }
            var command = try parseAsRoot(VerbFirst.ordered(words))
            try command.run()
            Glibc.exit(ExitStatus.success.rawValue)
        } catch let error as SessionsError {
            Output.diagnose(error.description)
            Glibc.exit(error.exitStatus.rawValue)
        } catch let error as OutputFailure {
            Output.diagnose(error.description)
            Glibc.exit(ExitStatus.ioError.rawValue)
        } catch {
            exit(withError: error)
        }
    }
}

extension Dmsnap {
    /// Each session of a chain that is restored has two descriptors open: its directory's and its data's.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard unsafe getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else {
            return
        }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(resource, &limit)
    }
}

/// The version that `--version` prints.
enum Version {
    static let text = "0.1.0"
}

/// Puts the verb first: `dmsnap --dev D --passfile F activate` means `dmsnap activate --dev D …`.
enum VerbFirst {
    /// Options that take a value in the next word.
    static let valued: Set<String> = [
        "--dev", "--session", "--device", "--passfile", "--old-passfile", "--chunk-size",
        "--store", "--store-dir", "--stop", "--to", "--since", "--svg", "--from", "--label",
        "--mode", "--restore-at", "--base", "--keep",
    ]

    static func ordered(_ words: [String]) -> [String] {
        guard words.first?.hasPrefix(Completion.option) != true else { return words }
        var index = 0
        while index < words.count {
            let word = words[index]
            guard word.hasPrefix("-"), word != "--" else { break }
            index += valued.contains(word) ? 2 : 1
        }
        guard index > 0, index < words.count, words[index] != "--" else { return words }
        var ordered = words
        ordered.remove(at: index)
        ordered.insert(words[index], at: 0)
        return ordered
    }
}
