import ArgumentParser
import Block
import FoundationEssentials
import Sessions
import SystemPackage

struct Sessions: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions",
        abstract: "List the sessions, the oldest first.")

    @OptionGroup var device: DeviceOptions

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
        let service = try SnapshotService.forRoot(to: "see the sessions")
        var summaries: [SessionSummary] = []
        var damage: SessionsError?
        for result in try service.sessions(of: device.named) {
            switch result {
            case .success(let session): summaries.append(service.summary(of: session))
            case .failure(let error):
                Output.diagnose(error.description)
                damage = error
            }
        }
        if json {
            try Output.printJSON(summaries)
        } else if summaries.isEmpty {
            try Output.print("There is no session.")
        } else {
            try Output.print(Self.table(summaries))
        }
        if let damage { throw damage }
    }

    /// The column of labels and pins is there where something is in it.
    static func table(_ summaries: [SessionSummary]) -> String {
        let hasNotes = summaries.contains { $0.pinned || $0.label != nil }
        let rows = summaries.map { one in
            let notes = (one.pinned ? ["pinned"] : []) + (one.label.map { [$0.text] } ?? [])
            return [
                one.name.text, one.state.rawValue, one.closedAt.map(Moment.text) ?? "-",
                one.bytes.map { ByteCount($0).formatted } ?? "-",
                ByteCount(one.storedBytes).formatted,
            ] + (hasNotes ? [notes.joined(separator: ": ")] : [])
        }
        return Output.table(
            ["SESSION", "STATE", "CLOSED", "OVERWRITTEN", "ON DISK"] + (hasNotes ? ["LABEL"] : []),
            rows)
    }
}

struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show one session, and a map of what it changed on the device.")

    @OptionGroup var session: SessionOptions

    @Option(help: "Write the map to this file, as SVG for a report.", completion: .file())
    var svg: String?

    @Flag(help: "Print one JSON document.")
    var json = false

    func validate() throws {
        _ = try session.required()
    }

    func run() throws {
        let name = try session.required()
        let service = try SnapshotService.forFiles(
            to: "see a session", named: self.session.named)
        let session = try service.session(named: name)
        let summary = service.summary(of: session)
        let record = session.record
        lazy var changes = Result { try service.viewer.ownChanges(of: session) }
        if let svg {
            let title = "What session \(record.name) changed"
            try Output.write(
                ChangeMapSVG(changes: changes.get(), title: title).text,
                to: FilePath(svg))
        }
        if json { return try Output.printJSON(summary) }
        var lines = [
            ("session", summary.name.text),
            ("directory", summary.directory.text),
            ("device", "\(summary.device) (\(ByteCount(record.size.bytes).formatted))"),
            ("state", summary.state.rawValue + (record.interrupted ? ", interrupted" : "")),
            ("kind", kind(of: record)),
            ("opened", Moment.text(summary.openedAt)),
            ("closed", summary.closedAt.map(Moment.text) ?? "-"),
            ("chunk size", ByteCount(summary.chunkSize).formatted),
            ("chunks", summary.chunks.map(String.init) ?? "-"),
            ("overwritten", summary.bytes.map { ByteCount($0).formatted } ?? "-"),
            ("on disk", ByteCount(summary.storedBytes).formatted),
        ]
        if let mountPoint = record.mountPoint {
            lines.insert(("mounted on", "\(mountPoint) (\(record.fileSystem ?? "?"))"), at: 5)
        }
        if let label = record.label { lines.append(("label", label.text)) }
        if record.isPinned { lines.append(("pinned", "yes")) }
        if let instant = record.instant {
            lines.append(
                (
                    "group",
                    "\(instant.group): begins at an instant that all of its devices had in common"
                ))
        }
        if record.isReceived {
            lines.append(("received", "from another machine; its device is named with --device"))
        }
        if record.lastIndex != nil {
            lines.append(("holds", "later ones that were merged into it"))
        }
        if let restored = record.restoreOf {
            let end = record.isPartOfRestore == true ? ", which came to no end" : ""
            lines.append(("restore of", restored.text + end))
        }
        if let began = record.continues { lines.append(("begun in", began.text)) }
        let width = lines.map { $0.0.count }.max() ?? 0
        let text = lines.map { key, value in
            key + String(repeating: " ", count: width - key.count + 2) + Output.visible(value)
        }
        try Output.print((text + [map(of: changes)]).joined(separator: "\n"))
    }

    private func kind(of record: SessionRecord) -> String {
        switch record.kind {
        case .mount: "a mount"
        case .offline: "writes outside a mount"
        case .checkpoint: "a mount, from a checkpoint on"
        }
    }

    private func map(of changes: Result<DeviceChanges, any Error>) -> String {
        switch changes {
        case .success(let changes):
            "\n"
                + ChangeMapText(
                    changes, columns: Terminal.columns ?? 80, isUnicode: Terminal.isUnicode
                ).text
        case .failure(let error):
            "\nno map of what it changed: \(Output.visible("\(error)"))"
        }
    }
}

/// A time for people: UTC, to the second.
enum Moment {
    static func text(_ time: Date) -> String {
        time.formatted(.iso8601)
    }
}
