import Block
import FoundationEssentials
import StoreTesting
import SystemPackage
import WriteLog

/// What is done with a device: sessions of its mounts are kept; or it is put back after each of them; or it is under
/// an overlay.
enum Use: String, CaseIterable, Codable {
    case captured, putBack, overlaid
}

/// Does all that dmsnap does to a device, while every write to the disk is logged, and keeps what the
/// device held each time a store was armed.
struct Recorder {
    /// Where the recording goes; an empty directory.
    let directory: FilePath
    /// Chooses what is done with it, the file system, the chunk size, what comes of a mount in the middle or of a
    /// boot, and what is written.
    let seed: UInt64

    var use: Use { Use.allCases[Int(seed % 3)] }
    private var isFAT: Bool { seed & 1 == 1 }
    var chunkSize: String { seed & 2 == 2 ? "16K" : "4K" }
    /// Whether it is mounted while the kernel puts it back; or, of an overlay, whether a boot gives it up.
    var isOdd: Bool { seed & 4 == 4 }
    let origin = CutDisk.Slice.origin.node

    var description: String {
        let kind =
            switch use {
            case .captured: isOdd ? ", mounted while it is restored online" : ""
            case .putBack: ", put back by itself" + (isOdd ? ", mounted in the middle of it" : "")
            case .overlaid: ", under an overlay" + (isOdd ? " that a boot gives up" : "")
            }
        return "\(isFAT ? "vfat" : "ext4"), chunks of \(chunkSize)\(kind)"
    }

    func record() async throws -> Recording {
        try await makeFileSystems()
        let log = Recording.log(in: directory)
        let device = try await sh(
            "truncate -s 1G \(log); losetup -f --show \(log)")
        try await CutDisk.startLogging(to: device)
        try await CutDisk.mount(mayRepair: false)
        let sessions: Set<StoreKey>
        switch use {
        case .captured: sessions = try await workCaptured()
        case .putBack: sessions = try await workPutBack()
        case .overlaid:
            try await workOverlaid()
            sessions = []
        }
        try await CutDisk.takeDown(but: log)
        try await CutDisk.stopLogging()
        try await sh("losetup -d \(device)")
        let truth = Recording.Truth(use: use, sessions: sessions)
        try Files.replace(
            Recording.truth(in: directory), with: Array(JSONEncoder().encode(truth)))
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

    // MARK: What users of all of them do

    func activate(_ options: [String] = []) async throws {
        try await Dmsnap.must(
            [
                "activate", origin.string, "--passfile", Dmsnap.passfile,
                "--store-dir", CutDisk.sessions.string, "--chunk-size", chunkSize,
            ] + options)
    }

    func deactivate() async throws {
        try await Dmsnap.must(["deactivate", origin.string, "--passfile", Dmsnap.passfile])
        if use != .overlaid { try await CutDisk.mark(Recording.Mark.deactivated.description) }
    }

    func activation() throws -> RegistryFile.Activation {
        guard let activation = try RegistryFile.activation() else {
            throw Broken(what: "it is not activated")
        }
        return activation
    }

    /// Waits until the next store is armed, and keeps what the device holds. Nothing is synced for
    /// that: what is not yet durable may be lost.
    func armed(after store: Int) async throws -> Int {
        try await eventually("the store after \(store) is armed", within: 60) {
            guard let state = try RegistryFile.activation()?.state else { return false }
            return state.name == "armed" && state.store.number == store + 1
        }
        return try await keepImage()
    }

    /// Keeps what the device holds as what its present store begins with.
    ///
    /// - Returns: the store's number.
    func keepImage() async throws -> Int {
        let activation = try activation()
        let path = Recording.image(of: activation.key, in: directory)
        try keep(origin, as: path)
        // Where it is put back to is named by a place in its chain.
        try await sh("ln -f \(path) \(Recording.image(at: activation.chain, in: directory))")
        try await CutDisk.mark(Recording.Mark.armed(activation.key).description)
        return activation.key.store
    }

    func keep(_ device: FilePath, as path: FilePath) throws {
        let image = try OwnedDescriptor.create(path)
        try image.write(CutDisk.contents(device), at: 0)
        try image.close()
    }

    /// Mounts it, writes, unmounts it, and waits until the next store is armed.
    ///
    /// - Parameters:
    ///   - isHeld: somebody has it open as it is unmounted, until what it then holds was kept: it isn't put back
    ///     before.
    ///   - halfway: called in the middle of it, between writes; gets the store that captures then.
    /// - Returns: the name of the session that the mount began.
    @discardableResult
    func mounted(
        _ store: inout Int, isHeld: Bool = false, halfway: ((inout Int) async throws -> Void)? = nil
    ) async throws -> String {
        let activation = try activation()
        try await CutDisk.mark(Recording.Mark.mounted(activation.key).description)
        try await sh("mount \(activation.origin) \(CutDisk.mountPoint)")
        var session: String?
        try await eventually("the session is open") {
            session = try RegistryFile.activation()?.state.session
            return session != nil
        }
        try await write(store)
        if let halfway {
            try await halfway(&store)
            try await write(store)
        }
        let holder = try OwnedDescriptor.open(activation.origin, isHeld ? .readWrite : .readOnly)
        if !isHeld { try holder.close() }
        try await sh("umount \(CutDisk.mountPoint)")
        store = try await armed(after: store)
        return session ?? ""
    }

    /// Four threads that sync now and then.
    func write(_ number: Int) async throws {
        try await sh("rm -f \(CutDisk.mountPoint)/s*")
        try await Workload.run(
            in: CutDisk.mountPoint.string, seed: seed &* 1000 &+ UInt64(number), operations: 12)
    }
}
