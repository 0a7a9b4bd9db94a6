import Block
import Glibc
import SystemPackage
import Testing

/// Every suite here changes the machine, so they run one after the other.
@Suite(.serialized) enum IntegrationTests {}

/// What a device of a test is.
enum DeviceKind: String, CaseIterable, Sendable {
    case block, image
}

/// Where these tests can't run.
struct NoDeviceMapper: Error, CustomStringConvertible {
    var description: String {
        """
        these tests need root, the kernel's device-mapper and an installed dmsnap: \
        run `make integration`, which boots User-Mode Linux for them
        """
    }
}

/// How a test's device comes to be, and goes.
struct Attachment: Sendable {
    /// A script that prints the device's node. `$file` has its contents, and `$directory` is the
    /// test's own.
    let attach: String
    /// A script that takes `$device` down again.
    let detach: String

    /// A loop device over the file.
    static func loop(sector: Int = 512) -> Attachment {
        Attachment(
            attach: "losetup -f --show -b \(sector) \"$file\"", detach: "losetup -d $device")
    }
}

/// A device of a test's own, with what the test does to it.
struct Rig {
    let kind: DeviceKind
    /// The test's own directory, on a real file system.
    let directory: String
    /// The file that holds the device's contents.
    let file: String
    /// What is activated: the file, or the loop device over it.
    let device: String
    /// Where it is mounted.
    let mountPoint: String
    /// The sessions' base directory.
    let base: String
    /// How it goes again; nil for an image, which dmsnap attaches.
    private let attachment: Attachment?
    /// What to mount while it is activated. Asked for once: a program takes a quarter of a second to
    /// start in User-Mode Linux.
    private let origin = Origin()

    private final class Origin {
        var path: String?
    }

    private init(
        kind: DeviceKind, directory: String, file: String, device: String, mountPoint: String,
        base: String, attachment: Attachment?
    ) {
        self.kind = kind
        self.directory = directory
        self.file = file
        self.device = device
        self.mountPoint = mountPoint
        self.base = base
        self.attachment = attachment
    }

    /// The same places for another block device, which the caller takes down.
    init(_ other: Rig, over device: String) {
        self.init(
            kind: .block, directory: other.directory, file: other.file, device: device,
            mountPoint: other.mountPoint, base: other.base, attachment: nil)
    }

    /// Makes a device of `size` bytes, runs `body` on it, and takes everything down again; what the
    /// test leaves behind fails it.
    static func with(
        _ kind: DeviceKind, size: Int = 64 << 20, name: String = "disk.img",
        attachment: Attachment = .loop(), _ body: (Rig) async throws -> Void
    ) async throws {
        let before = try await prepareMachine()
        let directory = try await sh("mktemp -d \"${DMSNAP_TEST_DIRECTORY:-/var/tmp}/rig.XXXXXX\"")
        let file = "\(directory)/\(name)"
        try await sh("truncate -s \(size) \(quoted(file)); mkdir \(directory)/mnt")
        let device =
            kind == .image
            ? file
            : try await sh(
                "file=\(quoted(file)); directory=\(directory); \(attachment.attach)")
        let rig = Rig(
            kind: kind, directory: directory, file: file, device: device,
            mountPoint: "\(directory)/mnt", base: "\(directory)/snapshot",
            attachment: kind == .image ? nil : attachment)
        do {
            try await body(rig)
        } catch {
            Issue.record(error)
            print(try await Self.diagnosis())
        }
        try await rig.takeDown()
        let after = Leftovers.now()
        #expect(after == before, "the test left something behind")
    }

    /// Looks whether tests can run here, and sets the service's password.
    @discardableResult
    static func prepareMachine() async throws -> Leftovers {
        guard Files.exists("/dev/mapper/control"), Files.exists(FilePath(Dmsnap.program)),
            geteuid() == 0
        else { throw NoDeviceMapper() }
        if !Files.exists("/etc/dmsnap/password") {
            try await sh(
                """
                umask 077; printf '%s\\n' '\(Dmsnap.password)' > \(Dmsnap.passfile)
                """)
            try await Dmsnap.must(["passwd", "--passfile", Dmsnap.passfile])
            // From then on one that takes no memory: 16 MiB are touched at each look at the real one, in
            // User-Mode Linux a quarter of a second, at every activation of every test.
            try await sh(
                """
                python3 -W ignore -c 'import crypt, sys
                print(crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_SHA512, rounds=1000)))' \
                    '\(Dmsnap.password)' > /etc/dmsnap/password
                """)
        }
        return Leftovers.now()
    }

    private static func diagnosis() async throws -> String {
        try await sh(
            """
            echo '--- at the failure:'; dmsetup ls; dmsetup info -c; losetup -a; \
            cat /run/dmsnap/monitor.log 2>/dev/null || true; dmesg | tail -20; \
            cat /var/lib/dmsnap/registry.json 2>/dev/null || true
            """)
    }

    private func takeDown() async throws {
        try await unmountAll(mountPoint)
        if Machine.hasActivations {
            for other in try await Dmsnap.status() {
                _ = try await Dmsnap.call([
                    "deactivate", other.device, "--passfile", Dmsnap.passfile,
                ])
            }
        }
        // Nothing is activated any more, so the monitor ends by itself, with the last archive.
        try await eventually("the monitor ends") { Machine.monitors.isEmpty }
        try await unmountAll(base)
        if let attachment {
            try await sh("device=\(device); directory=\(directory); \(attachment.detach)")
        }
        try await sh("rm -rf \(quoted(directory))")
    }

    private func unmountAll(_ place: String) async throws {
        guard Machine.isMounted(below: place) else { return }
        try await sh("umount -R \(quoted(place)) 2>/dev/null || true")
    }

    // What a user does.

    func activate(_ options: [String] = []) async throws {
        let place = options.contains("--store") ? [] : ["--store-dir", base]
        try await Dmsnap.must(
            ["activate", device, "--passfile", Dmsnap.passfile] + place + options)
        if origin.path == nil { origin.path = try await status().path }
    }

    /// What to mount, of a device that is activated.
    func path() async throws -> String {
        if let known = origin.path { return known }
        return try await status().path
    }

    func deactivate() async throws {
        try await Dmsnap.must(["deactivate", device, "--passfile", Dmsnap.passfile])
        origin.path = nil
    }

    func status() async throws -> Dmsnap.Device {
        let all = try await Dmsnap.status()
        return try #require(all.first { $0.device == device })
    }

    func sessions() async throws -> [Dmsnap.Session] {
        try await Dmsnap.sessions(of: device)
    }

    func restore(_ session: any NamedSession, _ options: [String] = []) async throws {
        try await Dmsnap.must(["restore", "--session", session.name] + options)
    }

    /// Mounts through dmsnap, and waits until the session is there.
    func mount(_ options: String = "rw") async throws {
        let before = openSessions()
        try await sh("mount -o \(options) \(quoted(path())) \(mountPoint)")
        try await eventually("the session is open") { openSessions() != before }
    }

    /// The directories whose record says `open`; asked of the files, since a program started for
    /// every look would keep the one processor of User-Mode Linux from everything else.
    func openSessions() -> [String] {
        let names = (try? Files.list(FilePath(base))) ?? []
        return names.filter { name in
            let record = FilePath(base).appending(name).appending("session.json")
            guard let bytes = try? Files.read(record) else { return false }
            return String(decoding: bytes, as: UTF8.self).contains("\"state\" : \"open\"")
        }
    }

    /// Unmounts, and waits until the session is closed; and, where it does answer, for udev, whose rules look
    /// at the device's tables after that.
    func unmount() async throws {
        try await sh("umount \(mountPoint)")
        try await eventually("the session is closed") { openSessions().isEmpty }
        for _ in 0..<100 where !Machine.cookies.isEmpty {
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Mounts, runs a shell script in the mount, unmounts; gives the session that this made.
    @discardableResult
    func mounted(_ script: String) async throws -> MadeSession {
        let before = Set(directories())
        try await mount()
        try await sh("cd \(mountPoint); \(script); sync")
        try await unmount()
        let made = try #require(directories().first { !before.contains($0) })
        return MadeSession(name: made, directory: "\(base)/\(made)")
    }

    /// Waits until the monitor has made a session's archive and given its store up.
    func archived(_ session: any NamedSession) async throws {
        let directory = FilePath(session.directory)
        try await eventually("session \(session.name) is archived", within: 60) {
            Files.exists(directory.appending("chunks.dmsz"))
                && !Files.exists(directory.appending("store"))
        }
    }

    /// The names of the sessions' directories.
    func directories() -> [String] {
        ((try? Files.list(FilePath(base))) ?? []).filter { !$0.hasPrefix(".") }
    }

    /// The checksum of the whole device, as anybody would read it now who finds nothing of it in memory: a write
    /// that failed stays there while somebody has the device open, and udev may have.
    func checksum() async throws -> String {
        // A test may have taken it down by other ways than this.
        let armed = origin.path.flatMap { Files.exists(FilePath($0)) ? $0 : nil }
        let path = armed ?? device
        let line = try await sh(
            """
            for each in \(quoted(device)) \(quoted(path)); do [ ! -b "$each" ] || blockdev --flushbufs "$each"; done
            xxh128sum < \(quoted(path))
            """)
        return String(line.prefix(32))
    }
}
