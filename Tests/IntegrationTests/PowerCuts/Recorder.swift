import Block
import FoundationEssentials
import StoreTesting
import SystemPackage
import WriteLog

/// Does all that dmsnap does to a device, while every write to the disk is logged, and keeps what the
/// device held each time a store was armed.
struct Recorder {
    /// Where the recording goes; an empty directory.
    let directory: FilePath
    /// Chooses the file system, the chunk size, whether an online restore is mounted over, and what is
    /// written.
    let seed: UInt64

    private var isFAT: Bool { seed & 1 == 1 }
    private var chunkSize: String { seed & 2 == 2 ? "16K" : "4K" }
    private var isMountedWhileMerging: Bool { seed & 4 == 4 }
    private let origin = CutDisk.Slice.origin.node

    var description: String {
        "\(isFAT ? "vfat" : "ext4"), chunks of \(chunkSize)"
            + (isMountedWhileMerging ? ", mounted while it is restored online" : "")
    }

    func record() async throws -> Recording {
        try await makeFileSystems()
        let log = Recording.log(in: directory)
        let device = try await sh(
            "truncate -s 1G \(log); losetup -f --show \(log)")
        try await CutDisk.startLogging(to: device)
        try CutDisk.mount()
        try await work()
        let sessions = Set(try SessionFile.all().map(\.key))
        try await CutDisk.takeDown(but: log)
        try await CutDisk.stopLogging()
        try await sh("losetup -d \(device)")
        try Files.replace(
            Recording.sessions(in: directory), with: Array(JSONEncoder().encode(sessions)))
        let recording = try Recording(directory)
        try await checkWhole(recording)
        return recording
    }

    /// With everything replayed the disk is as it is: nothing that was written escaped the log.
    private func checkWhole(_ recording: Recording) async throws {
        var replay = try recording.replay(seed: 0)
        let last = PowerCut(point: recording.log.entries.count - 1, inFlight: .lost)
        guard try replay.image(after: last) == CutDisk.contents(CutDisk.node) else {
            throw Broken(what: "the log doesn't have all that was written to the disk")
        }
    }

    struct Broken: Error {
        let what: String
    }

    /// File systems without discard: what one leaves nobody can tell. The device's last MiB is in none,
    /// to be written without spoiling one.
    private func makeFileSystems() async throws {
        let size = CutDisk.Slice.origin.size - 1
        let make =
            isFAT
            ? "mkfs.vfat -F 16 \(origin) \(size << 10) > /dev/null"
            : "mkfs.ext4 -q -E nodiscard \(origin) \(size)M"
        try await sh(
            """
            \(make)
            mkfs.ext4 -q -E nodiscard -b 4096 \(CutDisk.Slice.sessions.node)
            mkfs.ext4 -q -E nodiscard \(CutDisk.Slice.registry.node)
            mount \(origin) \(CutDisk.mountPoint)
            cp /usr/share/common-licenses/GPL-3 /bin/bash \(CutDisk.mountPoint)
            umount \(CutDisk.mountPoint)
            udevadm settle
            """)
        let base = try OwnedDescriptor.create(Recording.base(in: directory))
        try base.write(CutDisk.contents(CutDisk.node), at: 0)
        try base.close()
    }

    // MARK: What a user does

    private func work() async throws {
        try await Dmsnap.must([
            "activate", origin.string, "--passfile", Dmsnap.passfile,
            "--store-dir", CutDisk.sessions.string, "--chunk-size", chunkSize,
        ])
        var store = try await armed(after: 0)
        let first = try await mounted(&store)
        let offline = store
        try await writeOffline(&store)
        let second = try await mounted(&store, checkpoint: true)
        for session in [first, second] {
            let directory = CutDisk.sessions.appending(session)
            try await eventually("\(session) is archived", within: 60) {
                Files.exists(directory.appending("chunks.dmsz"))
                    && !Files.exists(directory.appending("store"))
            }
        }
        try await Dmsnap.must(["restore", "--session", second])
        store = try await armed(after: store)
        _ = try await mounted(&store)
        try await delete(offline)
        try await Dmsnap.must(["restore", "--session", first, "--online"])
        if isMountedWhileMerging {
            _ = try await mounted(&store)
        } else {
            store = try await armed(after: store)
        }
        _ = try await mounted(&store)
        try await prune()
        try await Dmsnap.must(["deactivate", origin.string, "--passfile", Dmsnap.passfile])
        try await CutDisk.mark(Recording.Mark.deactivated.description)
    }

    /// Waits until the next store is armed, and keeps what the device holds. Nothing is synced for
    /// that: what is not yet durable may be lost.
    private func armed(after store: Int) async throws -> Int {
        try await eventually("the store after \(store) is armed", within: 60) {
            guard let state = try RegistryFile.activation()?.state else { return false }
            return state.name == "armed" && state.store.number == store + 1
        }
        guard let key = try RegistryFile.activation()?.key else { throw Broken(what: "forgotten") }
        try await keepImage(of: key)
        return key.store
    }

    private func keepImage(of key: StoreKey) async throws {
        let image = try OwnedDescriptor.create(Recording.image(of: key, in: directory))
        try image.write(CutDisk.contents(origin), at: 0)
        try image.close()
        try await CutDisk.mark(Recording.Mark.armed(key).description)
    }

    /// Waits until the device is captured by the next store while it stays mounted, read-only, so that
    /// what the image is taken of is what the checkpoint has.
    private func checkpointed(after store: Int) async throws -> Int {
        try await sh("mount -o remount,ro \(CutDisk.mountPoint)")
        try await Dmsnap.must(["checkpoint", origin.string])
        guard let key = try RegistryFile.activation()?.key, key.store == store + 1 else {
            throw Broken(what: "no checkpoint")
        }
        try await keepImage(of: key)
        try await sh("mount -o remount,rw \(CutDisk.mountPoint)")
        return key.store
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

    /// Mounts, writes with four threads that sync now and then, unmounts.
    ///
    /// - Parameter checkpoint: whether there is one in the middle of it, and as much again after it.
    /// - Returns: the name of the session that the mount began.
    private func mounted(_ store: inout Int, checkpoint: Bool = false) async throws -> String {
        guard let activation = try RegistryFile.activation() else {
            throw Broken(what: "it is not activated")
        }
        try await CutDisk.mark(Recording.Mark.mounted(activation.key).description)
        try await sh("mount \(activation.origin) \(CutDisk.mountPoint)")
        var session: String?
        try await eventually("the session is open") {
            session = try RegistryFile.activation()?.state.session
            return session != nil
        }
        try await write(store)
        if checkpoint {
            store = try await checkpointed(after: store)
            try await write(store)
        }
        try await sh("umount \(CutDisk.mountPoint)")
        store = try await armed(after: store)
        return session ?? ""
    }

    private func write(_ store: Int) async throws {
        try await sh("rm -f \(CutDisk.mountPoint)/s*")
        try await Workload.run(
            in: CutDisk.mountPoint.string, seed: seed &* 1000 &+ UInt64(store), operations: 12)
    }

    /// Writes to the device outside a mount, and doesn't sync.
    private func writeOffline(_ store: inout Int) async throws {
        guard let activation = try RegistryFile.activation() else {
            throw Broken(what: "it is not activated")
        }
        let start = (CutDisk.Slice.origin.size - 1) * 16
        try await sh(
            "dd if=/dev/urandom of=\(activation.origin) bs=64K seek=\(start) count=12 status=none")
        store = try await armed(after: store)
    }
}
