import ArgumentParser
import Block
import Glibc
import Sessions
import SystemPackage

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show which files a session changed.",
        discussion: """
            Compares the files as they were before the session's mount with those at its end; of the \
            last session, with those there are now. Each line is a change (+ added, - deleted, \
            M modified, R renamed, m owner, permissions or times only) and a path from the root of the \
            device's file system.
            """)

    @Argument(help: "A session's name, its directory's path, or an archive file.")
    var session: String

    @Argument(help: "Only this file or directory, from the root of the device's file system.")
    var path: String = "/"

    @Option(help: "Compare with the beginning of this session, instead of the first one's end.")
    var to: String?

    @OptionGroup var looking: LookingOptions

    @Flag(help: "Show what changed in files of text, as `diff -u` does.")
    var contents = false

    @Flag(help: "Print one JSON document.")
    var json = false

    func validate() throws {
        if json, contents { throw ValidationError("give --json or --contents, not both") }
    }

    func run() throws {
        let service = try SnapshotService.forRoot(to: "compare the files of a session")
        let end = try to ?? service.viewer.successor(of: session)?.directory.string
        try service.lookingInto(looking.request(session)) { before in
            try service.lookingInto(
                looking.request(end ?? session), end == nil ? .now : .beginning
            ) { after in
                // Then nothing that the file system says of a file tells whether it is the same.
                let isBelieved = try !service.viewer.isWrittenPast(from: session, to: end)
                try compare(before, after, isBelieved)
            }
        }
    }

    private func compare(_ before: View, _ after: View, _ isBelieved: Bool) throws {
        let sameInodes = isBelieved ? before.sameInodes(as: after) : nil
        let old = try before.mounted()
        let new = try after.mounted()
        let changes: [FileChange]
        do {
            let progress = ProgressPrinter(isInteractive: Terminal.isInteractive)
            defer { progress.end() }
            changes = try FileChange.between(
                old, new, at: FilePath(path),
                keepsChangeTimes: isBelieved && before.contents.type != "vfat"
                    && before.contents.type != "exfat",
                sameInodes: sameInodes, progress: { progress.show(files: $0) })
        }
        if json { return try Output.printJSON(changes) }
        for change in changes {
            try Output.print(Self.line(change))
            if contents { try show(change, old.rootDescriptor, new.rootDescriptor) }
        }
        if changes.isEmpty { try Output.print("Nothing is different.") }
    }

    static func line(_ change: FileChange) -> String {
        let path = Output.visible(change.path)
        return switch change.change {
        case .added: "+ \(path)"
        case .deleted: "- \(path)"
        case .modified: "M \(path)"
        case .metadata: "m \(path)"
        case .renamed: "R \(change.from.map { Output.visible($0) } ?? "?") -> \(path)"
        }
    }

    private func show(_ change: FileChange, _ old: Int32, _ new: Int32) throws {
        guard change.type == .file, change.change != .metadata, change.change != .renamed else {
            return
        }
        func place(_ root: Int32, _ isThere: Bool) -> String {
            isThere ? "/proc/\(getpid())/fd/\(root)\(change.path)" : "/dev/null"
        }
        let name = Output.visible(change.path)
        let status = try Program.run([
            "/usr/bin/diff", "-u", "--label", "a\(name)", "--label", "b\(name)",
            place(old, change.change != .added), place(new, change.change != .deleted),
        ])
        // 1 says that they differ, and so does 2 of files that are no text.
        guard status <= 2 else { throw OutputFailure(errno: .interrupted) }
    }
}
