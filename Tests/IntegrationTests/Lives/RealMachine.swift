import Block
import FoundationEssentials
import Glibc
import Lives
import StoreTesting
import SystemPackage

/// A life's machine with a real kernel, and dmsnap as it is installed.
///
/// The monitor is stopped (SIGSTOP) but while it is waited for, so that what comes before it looks is
/// what the history says. A crash takes everything away that dmsnap has in memory; what a mounted file
/// system has not written yet is lost with it.
final class RealMachine: LifeMachine {
    enum FileSystem: String, CaseIterable {
        case ext4, xfs, btrfs, vfat

        /// Makes one on `$device`.
        var script: String {
            switch self {
            case .ext4: "mkfs.ext4 -q -E nodiscard"
            case .xfs: "mkfs.xfs -q -K --unsupported"
            case .btrfs: "mkfs.btrfs -q -K --mixed"
            case .vfat: "mkfs.vfat"
            }
        }

        /// What checks one that is clean.
        var check: String {
            switch self {
            case .ext4: "e2fsck -fp"
            case .xfs: "xfs_repair"
            case .btrfs: "btrfs check"
            case .vfat: "fsck.vfat -a"
            }
        }
    }

    static let sizes = History.Sizes(
        device: (24 << 20)...(32 << 20), chunks: [4096, 16384, 65536])

    let capturesChangesOnly = false
    let canReadMounted = false
    let archivesWithMonitor = true
    let knowsRoom = false
    let comparesAll = false
    let fileSystem: FileSystem
    let directory: FilePath
    private let image: FilePath
    let base: FilePath
    private let mountPoint: FilePath
    /// What is activated: the image, or a loop device over it.
    let device: String
    private let chunk: Int
    /// Whole sectors, in bytes: what is behind them in an image no device has.
    private let size: UInt64
    private var isMounted = false
    /// A restore was done that left something else than there ever was, or something was written over the file system.
    private var mayNotMount = false
    /// Milliseconds after which the next command that deletes is killed.
    var killsAfter: Int?
    /// Whether it was.
    var hasKilled = false

    init(_ history: History) throws {
        fileSystem = FileSystem.allCases[Int(history.seed % 4)]
        chunk = history.chunk
        size = UInt64(history.size / 512 * 512)
        directory = FilePath(
            try Shell.must("mktemp -d \"${DMSNAP_TEST_DIRECTORY:-/var/tmp}/life.XXXXXX\""))
        image = directory.appending("disk.img")
        base = directory.appending("snapshot")
        mountPoint = directory.appending("mnt")
        // mkfs takes whole blocks, and leaves the rest.
        try Shell.must(
            """
            truncate -s \(history.size) \(image); mkdir \(mountPoint)
            \(fileSystem.script) \(image) > /dev/null
            mount -o loop \(image) \(mountPoint); cp /bin/bash /etc/services \(mountPoint)
            umount \(mountPoint)
            """)
        device =
            history.isImage
            ? image.string : try Shell.must("losetup -f --show \(image)")
    }

    private var isImage: Bool { device == image.string }

    /// Everything away, whatever state it is in.
    func takeDown() throws {
        _ = try Shell.call("umount \(mountPoint)")
        resumeMonitor()
        _ = try Shell.call("dmsnap deactivate \(device) --passfile \(Dmsnap.passfile)")
        try wait("the monitor has ended") { Monitors.running.isEmpty }
        if !isImage { try Shell.must("losetup -d \(device)") }
        try Shell.must("rm -rf \(directory)")
    }

    // MARK: What is there

    func activation() throws -> LifeRegistry.Activation? { try LifeRegistry.activation() }

    func contents() throws -> [UInt8] {
        let path = try activation().map(\.origin)
        let armed = path.flatMap { Files.exists($0) ? $0 : nil }
        return try Digest.of(armed ?? FilePath(device), size)
    }

    func sessions() throws -> [ListedSession] {
        let names = ((try? Files.list(base)) ?? []).filter { !$0.hasPrefix(".") }
        let listed = try names.map { try LifeRecord(base.appending($0)) }
            .sorted { ($0.openedAt, $0.index) < ($1.openedAt, $1.index) }.map(\.listed)
        return ListedSession.left(of: listed)
    }

    func place() throws -> ChainPosition? {
        try activation().map { ChainPosition(chain: $0.chain.id, index: $0.chain.index) }
    }

    func faults(afterDeath: Bool) throws -> [String] {
        let suspended = try Shell.must("dmsetup info -c --noheadings -o name,suspended")
            .split(separator: "\n").filter { $0.hasSuffix(":Suspended") }
        guard let activation = try activation() else { return suspended.map { "\($0)" } }
        let armed = (try? Files.list(base.appending(".armed"))) ?? []
        let wanted =
            activation.state.session == nil
            ? ["\(activation.id)-\(activation.state.store.number)"] : []
        return suspended.map { "\($0)" }
            + (armed == wanted ? [] : ["armed stores: \(armed) and not \(wanted)"])
    }

    func beginning(of store: String) -> [UInt8]? { nil }

    /// The kernel doesn't wait to be asked: until all is back.
    func isMerging() throws -> Bool {
        guard let origin = try activation()?.origin, Files.exists(origin) else {
            return try activation()?.state.merge != nil
        }
        try wait("the kernel has put everything back", within: 120) {
            // `0 65536 snapshot-merge 32/131136 32`: what is taken, of what there is, and metadata.
            let words = try Shell.must("dmsetup status \(origin)").split(separator: " ")
            guard words.count == 5, words[2] == "snapshot-merge" else { return true }
            return words[3].split(separator: "/")[0] == words[4]
        }
        return false
    }

    // MARK: What dmsnap does

    func asked(_ arguments: String) throws -> String {
        let output = try Shell.call("dmsnap \(arguments)")
        guard output.status == 0 else {
            var message = output.err + output.out
            if message.contains("a program has it open"), let path = try activation()?.origin {
                message += try Monitors.holders(of: "\(path)")
            }
            throw Refusal(status: Int(output.status), message: message)
        }
        return output.out
    }

    func activate() throws {
        _ = try asked(
            "activate \(device) --passfile \(Dmsnap.passfile) --store-dir \(base) "
                + "--chunk-size \(chunk / 1024)K")
        try stopMonitor()
    }

    func deactivate() throws {
        _ = try asked("deactivate \(device) --passfile \(Dmsnap.passfile)")
    }

    func assemble() throws {
        _ = try asked("assemble")
        try stopMonitor()
    }

    /// What is mounted is read-only meanwhile, so that what is read is what the session begins with.
    func checkpoint() throws -> [UInt8]? {
        guard isMounted else {
            _ = try asked("checkpoint \(device)")
            return nil
        }
        try Shell.must("mount -o remount,ro \(mountPoint)")
        defer { _ = try? Shell.must("mount -o remount,rw \(mountPoint)") }
        _ = try asked("checkpoint \(device)")
        return try contents()
    }

    func restore(
        _ session: ListedSession, _ way: RestoreWay, copy: [UInt8]?
    ) throws -> RestoreResult {
        var arguments = "restore --session \(session.name)"
        if way == .acceptingWrites { arguments += " --accept-writes" }
        if way == .online { arguments += " --online" }
        if copy != nil {
            let path = try activation().map(\.origin) ?? FilePath(device)
            let source = Files.exists(path) ? path : FilePath(device)
            try Shell.must("dd if=\(source) of=\(directory)/copy bs=1M status=none")
            arguments += " --device \(directory)/copy"
        }
        let output = try Shell.call("dmsnap \(arguments)")
        if way == .acceptingWrites, copy == nil { mayNotMount = true }
        return try result(of: output, isOnline: way == .online, isOwn: copy == nil)
    }

    func reset() throws -> ResetResult {
        let output = try Shell.call("dmsnap reset \(device)")
        if output.status == 0, output.out.contains("there is no mount to undo") {
            return .nothingToUndo
        }
        let result = try result(of: output, isOnline: false, isOwn: true)
        let words = output.out.split(whereSeparator: \.isWhitespace)
        guard let place = words.firstIndex(of: "session"), place + 1 < words.count else {
            throw Shell.Failure(description: output.out)
        }
        return .restored(String(words[place + 1].prefix { $0 != ":" }), result)
    }

    private func result(
        of output: Output, isOnline: Bool, isOwn: Bool
    ) throws -> RestoreResult {
        let words = output.out.split(whereSeparator: \.isWhitespace)
        let wasDone = output.out.contains("put back") || output.out.contains("to put back")
        guard output.status == 0 || output.status == 65 && wasDone else {
            throw Refusal(status: Int(output.status), message: output.err + output.out)
        }
        return RestoreResult(
            isProven: output.status == 0 && !output.out.contains("where that could be compared"),
            isConditional: output.out.contains("provided that"), isOnline: isOnline,
            isOwn: isOwn,
            undo: output.out.contains("To undo it:") ? words.last.map(String.init) : nil)
    }

    func copied() throws -> [UInt8] { try Digest.of(directory.appending("copy"), size) }

    /// The monitor doesn't wait to be asked: all of them.
    func archive(atMost count: Int) throws -> Bool {
        resumeMonitor()
        defer { try? stopMonitor() }
        let end = time(nil) + 20
        // One that is damaged never is made.
        while time(nil) < end {
            let left = try sessions().filter {
                !$0.isCurrent && !$0.isInvalid
                    && Files.exists(base.appending($0.name).appending("store"))
            }
            if left.isEmpty { return true }
            // Without a monitor nobody makes them.
            if Monitors.running.isEmpty { return true }
            usleep(100_000)
        }
        return false
    }

    /// Lets it do what is due, and stops it where it holds nothing.
    func monitor() throws {
        guard try activation() != nil else { return }
        resumeMonitor()
        try wait("the monitor has done what was due") {
            guard let activation = try activation() else { return false }
            let state = activation.state
            if isMounted { return state.session != nil }
            guard state.name == "armed" else { return false }
            // The next one may have taken over since the registry was read.
            let status = try Shell.call(
                "dmsetup status dmsnapcow-\(activation.name)-\(state.store.number)")
            let words = status.out.split(whereSeparator: \.isWhitespace)
            return words.count == 5 && words[3].split(separator: "/")[0] == words[4]
        }
        try stopMonitor()
    }

    func resumeMonitor() {
        for process in Monitors.running { kill(process, SIGCONT) }
    }

    func stopMonitor() throws {
        try wait("the monitor is stopped, and holds neither a lock nor a device") {
            // What udev's rule runs goes on: it waits for that.
            let monitors = Machine.monitors.compactMap { pid_t($0) }
            for process in monitors { kill(process, SIGSTOP) }
            guard monitors.allSatisfy(Monitors.isStopped) else { return false }
            // With a lock of it a verb would wait for ever.
            let isFree = try !monitors.contains(where: {
                try Monitors.holdsLock($0) || Monitors.holdsDevice($0)
            })
            if isFree { return true }
            for process in monitors { kill(process, SIGCONT) }
            return false
        }
    }

    // MARK: What users do

    func mount() throws -> Bool {
        guard let activation = try activation() else { return false }
        let output = try Shell.call("mount \(activation.origin) \(mountPoint)")
        guard output.status == 0 else {
            guard mayNotMount else { throw Shell.Failure(description: "mount: \(output.err)") }
            return false
        }
        isMounted = true
        try monitor()
        return true
    }

    /// Files in a mount, as many programs do; or, outside of one, what a check writes.
    func write(_ number: Int) throws {
        guard isMounted else {
            guard let activation = try activation() else { return }
            var random = SeededGenerator(seed: UInt64(number))
            let offset = Int.random(in: 0..<(24 << 8), using: &random)
            // A check, and something that surely writes: into the middle of a directory, perhaps.
            mayNotMount = true
            try Shell.must(
                """
                \(fileSystem.check) \(activation.origin) > /dev/null 2>&1 || true
                dd if=/dev/urandom of=\(activation.origin) bs=4096 seek=\(offset) count=1 \
                    conv=notrunc status=none
                """)
            return
        }
        // What doesn't fit in is no failure.
        _ = try Shell.call(
            """
            cd \(mountPoint)
            head -c $((\(number) * 1237 + 1)) /dev/urandom > file\(number % 7)
            rm -f file\((number + 3) % 7)
            [ $((\(number) % 3)) != 0 ] || sync file\(number % 7)
            """)
    }

    func synchronize() throws {
        if isMounted { try Shell.must("sync -f \(mountPoint)") }
    }

    func remount() throws {
        _ = try Shell.call("mount -o remount,ro \(mountPoint) && mount -o remount,rw \(mountPoint)")
    }

    func unmount() throws {
        try Shell.must("umount \(mountPoint)")
        isMounted = false
    }

    func merge(_ chunks: Int) throws {}

    // MARK: What happens to the machine

    func crash(losing: Int?) throws {
        for process in Monitors.running { kill(process, SIGKILL) }
        try wait("the programs have ended") { Monitors.running.isEmpty }
        guard let activation = try activation() else { return }
        let name = "dmsnap-\(activation.name)"
        // What is mounted gets errors in the device's place, so that what it would write is lost.
        if isMounted { try Shell.must("dmsetup wipe_table \(name); umount \(mountPoint)") }
        isMounted = false
        try Shell.must(
            """
            udevadm settle
            dmsetup remove --retry \(name)
            for one in $(dmsetup ls | sed -n 's/^\\(dmsnapcow-[^ \\t]*\\).*/\\1/p'); do
                dmsetup remove --retry $one
            done
            for one in $(losetup -n -O NAME); do
                case $(cat /sys/block/${one#/dev/}/loop/backing_file) in
                \(isImage ? directory.string : base.string)*) losetup -d $one ;;
                esac
            done
            rm -rf /run/dmsnap/*
            udevadm settle
            """)
    }

    /// Only where a mount past us has to be seen: after a boot it may lie in what was kept.
    func writePast(_ number: Int) throws {
        guard try activation() == nil else { return }
        try Shell.must(
            """
            mount \(isImage ? "-o loop" : "") \(device) \(mountPoint)
            echo \(number) > \(mountPoint)/past || true
            umount \(mountPoint)
            """)
    }

    func rename() throws -> Bool { false }
    func fillStore(_ number: Int) throws -> Bool { false }

    func remove(_ session: ListedSession) throws {
        try Shell.must("rm -r \(base.appending(session.name))")
    }

    func damage(_ session: ListedSession, _ number: Int) throws {
        let folder = base.appending(session.name)
        let store = folder.appending("store")
        let file = Files.exists(store) ? store : folder.appending("chunks.dmsz")
        let descriptor = try OwnedDescriptor.open(file, .readWrite)
        // A store has no checksums; its header is checked.
        let count = Files.exists(store) ? 16 : Int(try descriptor.size().bytes)
        let bit = number % (count * 8)
        var byte = try descriptor.read(count: 1, at: UInt64(bit / 8))
        byte[0] ^= 1 << UInt8(bit % 8)
        try descriptor.write(byte, at: UInt64(bit / 8))
        try descriptor.close()
    }
}
