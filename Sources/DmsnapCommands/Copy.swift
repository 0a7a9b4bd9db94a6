import ArgumentParser
import Block
import Glibc
import Sessions
import SystemPackage

struct Copy: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Get files back out of a session.",
        discussion: """
            Copies files and directories, as they were before the session's mount, to DEST, with \
            owners, modes, times, links, extended attributes and holes, as `cp -a` does. A PATH begins \
            at the root of the device's file system: of /home/me/letter on a device that is mounted \
            on /home it is me/letter.
            """)

    @Argument(help: "A session's name, its directory's path, or an archive file.")
    var session: String

    @Argument(help: "PATH… DEST: what to copy, and the directory or the new name to copy it to.")
    var paths: [String]

    @OptionGroup var looking: LookingOptions

    func validate() throws {
        if paths.count < 2 {
            throw ValidationError("give at least one PATH in the session, and a DEST to copy it to")
        }
    }

    func run() throws {
        let service = try SnapshotService.forRoot(to: "get files out of a session")
        let destination = paths[paths.count - 1]
        let wanted = paths.dropLast()
        try service.lookingInto(looking.request(session)) { view in
            let status = try copy(wanted, from: view, to: destination)
            guard status == 0 else { throw SessionsError.notCopied(destination: destination) }
        }
        let count =
            wanted.count == 1 ? Output.visible(wanted[0]) : "\(wanted.count) files or directories"
        try Output.print("\(count) copied to \(Output.visible(destination)).")
    }

    /// - Returns: cp's exit status.
    private func copy(
        _ wanted: ArraySlice<String>, from view: View, to destination: String
    ) throws -> Int32 {
        let mount = try view.mounted()
        // cp has descriptors of its own.
        let root = FilePath("/proc/\(getpid())/fd/\(mount.rootDescriptor)")
        var sources: [String] = []
        for path in wanted {
            do {
                let source = try FileTree.resolve(
                    FilePath(path), within: mount.rootDescriptor, at: root)
                // Of the root itself the link to it is to be followed.
                sources.append(source == root ? "\(source)/." : source.string)
            } catch {
                guard error.errno == .noSuchFileOrDirectory else {
                    throw SessionsError.system(error)
                }
                throw SessionsError.noSuchFile(path: path, session: session)
            }
        }
        return try Program.run(
            ["/bin/cp", "-a", "--sparse=auto", "--reflink=auto", "--"] + sources + [destination])
    }
}
