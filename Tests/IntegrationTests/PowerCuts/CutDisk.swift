import Block
import Glibc
import SystemPackage

/// One disk with everything on it that a power cut hits together: the device that is activated, the
/// sessions' file system and the registry's, as slices, so that their writes have one order.
///
/// It is in memory (brd), and lies under device-mapper's slices either itself or through the target
/// that logs its writes.
enum CutDisk {
    enum Slice: String, CaseIterable {
        case origin, sessions, registry

        /// In MiB.
        var size: Int {
            switch self {
            case .origin: 12
            case .sessions: 60
            case .registry: 8
            }
        }

        /// Where it begins, in MiB.
        var start: Int { Self.allCases.prefix { $0 != self }.map(\.size).reduce(0, +) }
        var node: FilePath { FilePath("/dev/mapper/cut-\(rawValue)") }
        /// Its bytes on the disk.
        var range: Range<Int> { start << 20..<(start + size) << 20 }
    }

    static let size = Slice.allCases.map(\.size).reduce(0, +)
    /// The slices' bytes: a power cut may find each of them a disk with a cache of its own.
    static let parts = Slice.allCases.map { slice in
        UInt64(slice.range.lowerBound)..<UInt64(slice.range.upperBound)
    }
    static let node: FilePath = "/dev/ram0"
    static let log = "/dev/mapper/cut-log"
    static let sessions: FilePath = "/srv/cut-sessions"
    static let registry: FilePath = "/var/lib/dmsnap"
    static let mountPoint: FilePath = "/srv/cut-mnt"

    /// The disk and its slices, without anything on them.
    static func make() async throws {
        try await sh(
            """
            modprobe -a dm-log-writes vfat nls_cp437 nls_ascii nls_iso8859-1
            modprobe brd rd_nr=1 rd_size=\(size << 10)
            mkdir -p \(sessions) \(registry) \(mountPoint)
            """)
        for slice in Slice.allCases {
            // The same device after every cut, by what device-mapper says of it.
            try await sh(
                """
                dmsetup create cut-\(slice.rawValue) --uuid CUT-\(slice.rawValue) \
                    --table "\(table(slice, over: node.string))"
                """)
        }
    }

    /// The slices and the disk are gone.
    static func remove() async throws {
        let names = Slice.allCases.map { "cut-\($0.rawValue)" }.joined(separator: " ")
        try await sh("dmsetup remove --retry \(names); udevadm settle; modprobe -r brd")
    }

    private static func table(_ slice: Slice, over device: String) -> String {
        "0 \(slice.size << 11) linear \(device) \(slice.start << 11)"
    }

    /// Logs from now on all that is written, to this device. Nothing may be mounted.
    static func startLogging(to log: String) async throws {
        try await sh(
            "dmsetup create cut-log --table '0 \(size << 11) log-writes \(node) \(log)'")
        try await lay(over: Self.log)
    }

    /// Flushes, and logs no more. With the target's end the log is whole.
    static func stopLogging() async throws {
        try OwnedDescriptor.open(FilePath(log), .readOnly).synchronize()
        try await lay(over: node.string)
        try await sh("dmsetup remove cut-log")
    }

    private static func lay(over device: String) async throws {
        for slice in Slice.allCases {
            let name = "cut-\(slice.rawValue)"
            try await sh(
                """
                dmsetup load \(name) --table "\(table(slice, over: device))"
                dmsetup suspend \(name); dmsetup resume \(name)
                """)
        }
        try await sh("udevadm settle")
    }

    /// A text that the log has after all that was durable when it was sent.
    static func mark(_ text: String) async throws {
        try await sh("dmsetup message \(log) 0 mark \(quoted(text))")
    }

    /// The bytes that a device has, whatever page caches know.
    static func contents(_ path: FilePath) throws -> [UInt8] {
        let device = try OwnedDescriptor.open(path, .readOnly)
        try device.dropCache()
        return try device.read(count: Int(device.size().bytes), at: 0)
    }

    /// Gives the whole disk these bytes. Nothing may be mounted.
    static func write(_ image: [UInt8]) throws {
        let device = try OwnedDescriptor.open(node, .readWrite)
        try device.write(image, at: 0)
        try device.synchronize()
        try device.dropCache()
        try device.close()
    }

    // MARK: As after a boot, and back

    /// Mounts what a boot would. Journals are replayed.
    ///
    /// - Parameter mayRepair: whether somebody puts a file system right whose superblock a write has torn, so that
    ///   its checksum is wrong: no system mounts it before.
    static func mount(mayRepair: Bool) async throws {
        for (slice, place) in [(Slice.registry, registry), (.sessions, sessions)] {
            if try mount(slice, place) { continue }
            guard mayRepair else {
                throw SystemError(
                    operation: "mount", path: slice.node.string, errno: Errno(rawValue: EUCLEAN))
            }
            // 1: what was wrong is right now.
            try await sh("e2fsck -fy \(slice.node) || [ $? = 1 ]")
            guard try mount(slice, place) else {
                throw SystemError(
                    operation: "mount after e2fsck", path: slice.node.string,
                    errno: Errno(rawValue: EUCLEAN))
            }
        }
    }

    /// - Returns: false for a file system that is to be put right first.
    private static func mount(_ slice: Slice, _ place: FilePath) throws -> Bool {
        if unsafe Glibc.mount(slice.node.string, place.string, "ext4", 0, nil) == 0 { return true }
        let reason = Errno(rawValue: errno)
        guard [EUCLEAN, EBADMSG].contains(reason.rawValue) else {
            throw SystemError(operation: "mount", path: slice.node.string, errno: reason)
        }
        return false
    }

    /// Takes away all that dmsnap made in memory, as the end of power does: processes, tables, loop
    /// devices, mounts, locks.
    ///
    /// - Parameter log: a file that stays attached.
    static func takeDown(but log: FilePath? = nil) async throws {
        try await killPrograms()
        let ours = mapped().filter { $0.uuid.hasPrefix("DMSNAP-") }
        let names =
            (ours.filter { $0.uuid.hasSuffix("-origin") }
            + ours.filter { !$0.uuid.hasSuffix("-origin") }).map { quoted($0.name) }
        if !names.isEmpty {
            try await sh("dmsetup remove --retry \(names.joined(separator: " "))")
        }
        for name in try Files.list("/sys/block") {
            guard let loop = LoopDevice(FilePath("/dev/\(name)")), let backing = loop.backing,
                backing.path != log?.string
            else { continue }
            try loop.detach()
        }
        for place in [sessions, registry] {
            try await eventually("\(place) is unmounted") {
                unsafe umount2(place.string, 0) == 0 || errno == EINVAL
            }
        }
        try await sh("rm -rf /run/dmsnap/*")
    }

    /// The names and UUIDs of device-mapper's devices.
    private static func mapped() -> [(name: String, uuid: String)] {
        attributes { folder in
            guard let name = Sysfs.attribute(folder.appending("name")),
                let uuid = Sysfs.attribute(folder.appending("uuid"))
            else { return nil }
            return (name, uuid)
        }
    }

    /// The names of devices that nobody has resumed.
    static func suspended() -> [String] {
        attributes { folder in
            Sysfs.attribute(folder.appending("suspended")) == "1"
                ? Sysfs.attribute(folder.appending("name")) : nil
        }
    }

    private static func attributes<Value>(_ read: (FilePath) -> Value?) -> [Value] {
        let names = (try? Files.list("/sys/block")) ?? []
        return names.filter { $0.hasPrefix("dm-") }.compactMap { name in
            read(FilePath("/sys/block").appending(name).appending("dm"))
        }
    }

    /// Every process of dmsnap's, the monitor and guards included.
    private static func killPrograms() async throws {
        func running() throws -> [pid_t] {
            try Files.list("/proc").compactMap { pid_t($0) }.filter { process in
                // `123 (dmsnap) S`; a zombie has ended.
                let status = Sysfs.attribute(FilePath("/proc/\(process)/stat")) ?? ""
                return ["(dmsnap) ", "(dmsnap-guard) "].contains { status.contains($0) }
                    && !status.contains(") Z ")
            }
        }
        for process in try running() { kill(process, SIGKILL) }
        try await eventually("the programs have ended") { try running().isEmpty }
    }
}
