import Block
import WriteLog

/// A device under an overlay.
extension Aftermath {
    /// - Parameter before: what the device held when the power came back.
    mutating func judgeOverlay(_ before: [UInt8]) async throws {
        let node = CutDisk.Slice.origin.node
        if try CutDisk.contents(node) != before { problem("assembling wrote to the device") }
        let over = recording.over(at: cut.point)
        if let number = over?.device {
            if try before == recording.shown(number) {
                countExact()
            } else {
                lose("the device was written under its overlay")
            }
        }
        guard let activation = try RegistryFile.activation() else { return }
        var shows = try CutDisk.contents(activation.origin)
        if let shown = over?.shown, !shown.isEmpty {
            if try shown.contains(where: { try recording.shown($0) == shows }) {
                countExact()
            } else {
                lose("the overlay shows something else than \(shown)")
            }
        } else {
            // Cut in the middle of a mount, it has what any disk has then.
            try await sh(
                """
                mount \(activation.origin) \(CutDisk.mountPoint)
                cat \(CutDisk.mountPoint)/GPL-3 \(CutDisk.mountPoint)/bash > /dev/null
                umount \(CutDisk.mountPoint); sync \(activation.origin)
                """)
            shows = try CutDisk.contents(activation.origin)
        }
        let isCommitting = activation.state.committing ?? false
        let isGivenUp = !isCommitting && cut.point.isMultiple(of: 2)
        let verb = isGivenUp ? "discard" : "commit"
        let output = try await Dmsnap.call([verb, activation.path])
        let goal = isGivenUp ? before : shows
        if output.status != 0 {
            lose("\(verb) ended with \(output.status): \(output.err)\(output.out)")
        } else if try CutDisk.contents(node) == goal,
            try CutDisk.contents(activation.origin) == goal
        {
            countExact()
        } else {
            lose("\(verb) left something else, and: \(output.out)")
        }
    }
}
