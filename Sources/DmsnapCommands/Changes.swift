import ArgumentParser
import Block
import Sessions

struct Changes: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "changes",
        abstract: "Show which ranges of the device a session changed.",
        discussion: """
            In bytes, in the device's order; whole chunks, of which a part may be as it was. With --since \
            it is what changed from that session's beginning to the end of this one, for an incremental \
            backup. No root is needed for a session of one's own.
            """)

    @Argument(help: "A session's name, a label, its directory's path, or an archive file.")
    var session: String

    @Option(help: "An earlier session of the same chain, to begin with.")
    var since: String?

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
        let service = try SnapshotService.forFiles(
            to: "see what a session changed", named: session)
        let changes = try service.viewer.changes(of: session, since: since)
        if json { return try Output.printJSON(changes) }
        let rows = changes.ranges.map { ["\($0.offset)", "\($0.length)"] }
        try Output.print(
            rows.isEmpty
                ? "Nothing was changed." : Output.table(["OFFSET", "LENGTH"], rows))
    }
}
