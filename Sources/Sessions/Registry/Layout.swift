internal import Block
public import SystemPackage

/// Where everything is. Paths are built here and nowhere else.
public struct Layout: Sendable {
    /// What stands before every path; `/` but in tests.
    let root: FilePath

    /// Everything under `root`.
    public init(root: FilePath = "/") {
        self.root = root
    }

    private func path(_ text: String) -> FilePath {
        root.pushing(FilePath(text))
    }

    /// The configuration file.
    public var configuration: FilePath { path("etc/dmsnap/dmsnap.toml") }
    /// The service's password, hashed; 0600.
    public var password: FilePath { path("etc/dmsnap/password") }
    /// What must survive a reboot.
    public var stateDirectory: FilePath { path("var/lib/dmsnap") }
    /// The registry of activated devices.
    public var registry: FilePath { stateDirectory.appending("registry.json") }
    /// What the udev rule looks at before it asks whose a device is.
    var claimedSizes: FilePath { stateDirectory.appending("claimed-sizes") }
    /// Locks, and what is gone after a reboot.
    public var runDirectory: FilePath { path("run/dmsnap") }
    var registryLock: FilePath { runDirectory.appending("registry.lock") }
    /// Held by the monitor that runs.
    public var monitorLock: FilePath { runDirectory.appending("monitor.lock") }
    /// What a monitor says that systemd did not start.
    public var monitorLog: FilePath { runDirectory.appending("monitor.log") }
    /// How far the monitor is with the archive that it is making.
    var archiving: FilePath { runDirectory.appending("archiving.json") }
    /// The base directory of stores in memory: they are gone after a reboot, and it with them.
    public var memory: FilePath { runDirectory.appending("stores") }
    /// The sessions' base directory where neither the configuration nor `--store-dir` names one.
    public var defaultSessions: FilePath { path("snapshot") }

    /// One of udev's links to disks: `by-uuid`, `by-label`.
    func disks(_ kind: String, _ name: String) -> FilePath {
        path("dev/disk").appending(kind).appending(name)
    }

    /// Held while a password is checked, and in the pause after a wrong one.
    var passwordLock: FilePath { runDirectory.appending("password.lock") }

    /// Held by whoever changes a session's record.
    var recordsLock: FilePath { runDirectory.appending("records.lock") }

    /// Held by whoever deletes sessions: one at a time.
    var deletionLock: FilePath { runDirectory.appending("deletion.lock") }

    /// Held by whoever runs the command for archives: one at a time.
    var afterLock: FilePath { runDirectory.appending("after.lock") }

    /// Held by whoever receives sessions: one at a time.
    var receivingLock: FilePath { runDirectory.appending("receiving.lock") }

    /// Held by whoever makes a part of a view: one at a time.
    var viewsLock: FilePath { runDirectory.appending("views.lock") }

    /// Held while a device is being activated: one at a time.
    var activationLock: FilePath { runDirectory.appending("activate.lock") }

    /// Held by whoever changes this activation's tables.
    func operationLock(_ activation: String) -> FilePath {
        runDirectory.appending("activation-\(activation).lock")
    }

    /// Held by whoever activates this image, or restores to it.
    func imageLock(_ file: FileIdentity) -> FilePath {
        runDirectory.appending("image-\(file.fileSystem)-\(file.inode).lock")
    }

    /// A store that captures before its session has a name.
    static func armed(in base: FilePath, activation: String, store: Int) -> FilePath {
        base.appending(".armed").appending("\(activation)-\(store)")
    }

    /// Held by whoever makes this view.
    func viewLock(_ id: String) -> FilePath {
        runDirectory.appending("view-\(id).lock")
    }

    /// The store that the kernel merges into the device in an online restore.
    static func merging(in base: FilePath, activation: String) -> FilePath {
        base.appending(".merging").appending(activation)
    }

    /// Where the stores of views are made, until they have no name any more.
    static func views(in base: FilePath) -> FilePath {
        base.appending(".views")
    }

    /// What is being received: no session yet.
    static func receiving(in base: FilePath) -> FilePath {
        base.appending(".receiving")
    }

    /// What is being deleted: no session any more.
    static func deleted(in base: FilePath) -> FilePath {
        base.appending(".deleted")
    }

    static func session(in base: FilePath, _ name: SessionName) -> FilePath {
        base.appending(name.text)
    }

    /// The COW store in a session's (or an armed) directory.
    public static func store(in directory: FilePath) -> FilePath {
        directory.appending("store")
    }

    /// The archive in a session's directory, once it has one.
    public static func archive(in directory: FilePath) -> FilePath {
        directory.appending("chunks.dmsz")
    }

    /// What the device was when an armed store took over in the middle of a mount, until the registry has it.
    static func boundary(in directory: FilePath) -> FilePath {
        directory.appending("boundary.json")
    }

    static func record(in directory: FilePath) -> FilePath {
        directory.appending("session.json")
    }

    /// Says that a later session is being merged into this one.
    static func absorbing(in directory: FilePath) -> FilePath {
        directory.appending("absorbing.json")
    }

    /// How far the command is that is run for the session's archive.
    static func after(in directory: FilePath) -> FilePath {
        directory.appending("after.json")
    }

    /// Says that a restore of this session has begun and not ended.
    static func restoring(in directory: FilePath) -> FilePath {
        directory.appending("restoring.json")
    }
}
