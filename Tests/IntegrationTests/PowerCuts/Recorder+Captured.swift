import Block
import SystemPackage

/// Everything that is done to a device whose sessions are kept.
extension Recorder {
    /// - Returns: the stores whose sessions are there at the end.
    func workCaptured() async throws -> Set<StoreKey> {
        try await activate()
        var store = try await armed(after: 0)
        let first = try await mounted(&store)
        let offline = store
        try await writeOffline(&store)
        let second = try await mounted(&store) { store in
            store = try await checkpointed(after: store)
        }
        for session in [first, second] { try await archived(session) }
        try await Dmsnap.must(["restore", "--session", second])
        store = try await armed(after: store)
        try await mounted(&store)
        try await delete(offline)
        try await Dmsnap.must(["restore", "--session", first, "--online"])
        if isOdd {
            try await mounted(&store)
        } else {
            store = try await armed(after: store)
        }
        try await mounted(&store)
        try await prune()
        try await deactivate()
        return Set(try SessionFile.all().map(\.key))
    }

    func archived(_ session: String) async throws {
        let directory = CutDisk.sessions.appending(session)
        try await eventually("\(session) is archived", within: 60) {
            Files.exists(directory.appending("chunks.dmsz"))
                && !Files.exists(directory.appending("store"))
        }
    }

    /// Has the session of this store go into the one before it.
    private func delete(_ store: Int) async throws {
        guard let session = try SessionFile.all().first(where: { $0.store == store }) else {
            throw Broken(what: "no session of store \(store)")
        }
        try await CutDisk.mark(Recording.Mark.deleting(session.key).description)
        try await whenArchived(["delete", session.name])
    }

    /// Has a rule delete all but the last two sessions. The monitor doesn't know of that rule.
    private func prune() async throws {
        let kept = 2
        let sessions = try SessionFile.all().sorted { $0.store < $1.store }
        for session in sessions.dropLast(kept) {
            try await CutDisk.mark(Recording.Mark.deleting(session.key).description)
        }
        let settings: FilePath = "/etc/dmsnap/dmsnap.toml"
        try await sh("mkdir -p /etc/dmsnap")
        try Files.replace(settings, with: Array("[retention]\nkeep-last = \(kept)\n".utf8))
        try await whenArchived(["prune", origin.string])
        try await sh("rm \(settings)")
        guard try SessionFile.all().count == kept else { throw Broken(what: "nothing was pruned") }
    }

    /// What the monitor is just archiving is in use.
    private func whenArchived(_ arguments: [String]) async throws {
        try await eventually("\(arguments) is done", within: 60) {
            let output = try await Dmsnap.call(arguments)
            guard output.status == 0 || output.status == 75 else { throw Broken(what: output.err) }
            return output.status == 0
        }
    }

    /// Waits until the device is captured by the next store while it stays mounted, read-only, so that
    /// what the image is taken of is what the checkpoint has.
    private func checkpointed(after store: Int) async throws -> Int {
        try await sh("mount -o remount,ro \(CutDisk.mountPoint)")
        try await Dmsnap.must(["checkpoint", origin.string])
        let next = try await keepImage()
        guard next == store + 1 else { throw Broken(what: "no checkpoint") }
        try await sh("mount -o remount,rw \(CutDisk.mountPoint)")
        return next
    }

    /// Writes to the device outside a mount, and doesn't sync.
    func writeOffline(_ store: inout Int) async throws {
        let start = (CutDisk.Slice.origin.size - 1) * 16
        try await sh(
            "dd if=/dev/urandom of=\(activation().origin) bs=64K seek=\(start) count=12 status=none"
        )
        store = try await armed(after: store)
    }
}
