import ArgumentParser
import Block
import Sessions

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the activated devices.",
        discussion: """
            STATE is armed (nothing mounted, capturing), open (a session), invalid (the store has \
            missed writes), overlay (what is written goes into a store in its place), restoring (it is \
            being put back, and can be mounted), missing (the device or its tables are not there) or \
            waiting (it is activated when it is unmounted).
            """)

    @OptionGroup var device: DeviceOptions

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
        let service = try SnapshotService.forRoot(to: "see the activated devices")
        let all = try service.status(device.named)
        if json { return try Output.printJSON(all) }
        if all.isEmpty {
            try Output.print("Nothing is activated.")
        } else {
            try show(all)
        }
        guard device.named == nil, let archiving = service.archiver.archiving() else { return }
        let percent = Percent.text(archiving.bytesDone, of: archiving.bytesTotal)
        try Output.print(
            "archiving session \(Output.visible(archiving.session)): \(archiving.phase) \(percent)")
    }

    private func show(_ all: [DeviceStatus]) throws {
        let rows = all.map { one in
            let store =
                one.storeUsedBytes.map { used in
                    ByteCount(used).formatted + " of "
                        + ByteCount(one.storeLimitBytes ?? 0).formatted
                } ?? "-"
            return [
                one.device.text, one.path.text, one.state.rawValue, one.session?.text ?? "-",
                store,
            ]
        }
        try Output.print(Output.table(["DEVICE", "MOUNT", "STATE", "SESSION", "STORE"], rows))
        for one in all {
            guard let merge = one.merge else { continue }
            try Output.print(
                """
                \(Output.visible(one.path)): restoring session \(Output.visible(merge.session)) online: \
                \(merge.percent) % back
                """)
            if let failure = merge.failure {
                try Output.print("warning: \(Output.visible(failure))")
            }
        }
        for one in all where one.restoreAt != .never {
            let base =
                switch one.base {
                case nil: "what is written over it is given up"
                case "last": "is put back to what it was before it was mounted"
                case let session?:
                    "is put back to what it was before session \(Output.visible(session))"
                }
            try Output.print(
                "\(Output.visible(one.path)): \(base) at "
                    + (one.restoreAt == .boot ? "the next boot" : "the last unmount"))
        }
        for name in Set(all.compactMap(\.group?.text)).sorted() {
            let devices = all.filter { $0.group?.text == name }.map { Output.visible($0.path) }
            try Output.print("group \(name): \(devices.joined(separator: ", "))")
        }
        for one in all where one.leaving {
            try Output.print(
                "\(Output.visible(one.path)): is deactivated when it is not in use any more")
        }
        for one in all {
            guard let after = one.after else { continue }
            try Output.print(Output.visible("\(one.device): \(after)"))
        }
        for one in all {
            guard let warning = one.warning, warning != one.merge?.failure else { continue }
            try Output.print("warning: \(Output.visible(warning))")
        }
    }
}
