internal import Block
internal import DeviceMapper
internal import ExceptionStore
internal import FoundationEssentials
internal import Glibc
internal import SystemPackage

/// dmsnap's domain: activated devices, their stores, and their sessions.
///
/// Each verb is one method, in a file of its own. A change that takes several steps is written into
/// the registry before the first, holds the activation's operation lock, and is undone or gone on
/// with by `recover` when its process died halfway.
public struct SnapshotService: Sendable {
    /// Where everything is.
    public let layout: Layout
    /// The configuration in force.
    public let configuration: Configuration
    /// The service's own password.
    public let password: ServicePassword
    let kernel: any Kernel
    let registry: Registry

    /// A service on a kernel, the machine's own or a simulated one.
    ///
    /// - Throws: `configuration` if the configuration file can't be used.
    public init(kernel: any Kernel, layout: Layout = Layout()) throws(SessionsError) {
        self.layout = layout
        self.kernel = kernel
        registry = Registry(layout: layout)
        password = ServicePassword(layout: layout)
        configuration = try Configuration(reading: layout)
    }

    /// A service on this machine's kernel.
    ///
    /// - Parameter action: what only root may do, for the message: `activate a device`.
    /// - Throws: `notRoot`, `noDeviceMapper`, `configuration`.
    public static func forRoot(to action: String) throws(SessionsError) -> SnapshotService {
        guard geteuid() == 0 else { throw .notRoot(action) }
        return try SnapshotService(kernel: HostKernel())
    }

    /// A service for what needs no device-mapper, and not root either where the files that it touches
    /// are the user's own: such a user has no registry, no configuration, and no sessions but those
    /// named by their path.
    ///
    /// - Parameters:
    ///   - action: for the message: `restore a device`.
    ///   - path: what the user named: a session's name, or a path.
    /// - Throws: `notRoot`, `configuration`.
    public static func forFiles(
        to action: String, named path: String?
    ) throws(SessionsError) -> SnapshotService {
        let kernel = HostKernel.withoutDeviceMapper
        if geteuid() == 0 { return try SnapshotService(kernel: kernel) }
        // A bare name may be a file's that lies where the user is.
        guard let path, path.contains("/") || Files.exists(FilePath(path)) else {
            throw .notRoot(action)
        }
        return SnapshotService(unprivileged: kernel)
    }

    private init(unprivileged kernel: any Kernel) {
        layout = Layout()
        self.kernel = kernel
        registry = Registry(layout: layout, isForRoot: false)
        password = ServicePassword(layout: layout)
        configuration = Configuration(layout: layout)
    }

    var deviceMapper: any DeviceMapping { kernel.deviceMapper }

    /// Every activation, as the registry has it.
    public func activations() throws(SessionsError) -> [Activation] {
        try registry.read().activations
    }

    /// Runs `body` as the only one that changes this activation's tables.
    ///
    /// - Returns: what `body` returned, which is given the activation as it is now.
    func operating<Result>(
        on id: String, _ body: (Activation) throws -> Result
    ) throws(SessionsError) -> Result {
        try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            return try FileLock.holding(layout.operationLock(id)) { try withRegistered(id, body) }
        }
    }

    /// The same, for what may take hours: it is refused while another such one runs.
    func operatingAlone<Result>(
        on id: String, _ body: (Activation) throws -> Result
    ) throws(SessionsError) -> Result {
        try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            let lock = layout.operationLock(id)
            // An exchange of stores, which the monitor may be at, is over sooner.
            for _ in 0..<50 {
                if let taken = try FileLock.takeIfFree(lock) {
                    return try taken.holding { try withRegistered(id, body) }
                }
                kernel.pause(milliseconds: 100)
            }
            throw SessionsError.busy(
                device: try registry.read()[id: id]?.path ?? id,
                reason: "another dmsnap command works on it", advice: "wait for its end")
        }
    }

    private func withRegistered<Result>(
        _ id: String, _ body: (Activation) throws -> Result
    ) throws -> Result {
        guard let activation = try registry.read()[id: id] else {
            // An id never comes back, so nobody needs the file that this made.
            try? Files.remove(layout.operationLock(id))
            throw SessionsError.notActivated(id)
        }
        return try body(activation)
    }

    /// Runs `body` as the only one that writes to an image file that no loop device holds: nothing in
    /// the kernel keeps two restores, or a restore and an activation, apart there.
    func holding<Result>(image path: FilePath, _ body: () throws -> Result) throws -> Result {
        guard let taken = try FileLock.takeIfFree(existing: path) else {
            throw SessionsError.busy(
                device: path.string, reason: "another program has it locked, as a restore does",
                advice: "wait for its end")
        }
        return try taken.holding(body)
    }

    /// Changes one activation in the registry, and gives it as it then is.
    @discardableResult
    func change(
        _ id: String, _ body: (inout Activation) throws(SessionsError) -> Void
    ) throws(SessionsError) -> Activation {
        try registry.update { document throws(SessionsError) in
            guard var activation = document[id: id] else { throw .notActivated(id) }
            try body(&activation)
            document[id: id] = activation
            return activation
        }
    }

    /// What keeps a device in use: mounts anywhere, swap, devices built on it.
    func uses(of number: DeviceNumber) throws(SessionsError) -> [DeviceUse] {
        do {
            let mounts = try kernel.mounts(of: number).map { DeviceUse.mount($0) }
            return mounts + kernel.hiddenUses(of: number)
        } catch {
            throw .system(error)
        }
    }

    /// Waits until nobody has the origin open.
    ///
    /// Right after an unmount udev opens the device to probe it, for some milliseconds: that is no
    /// use. A mount, swap or a device on top is, at once.
    func isIdle(_ activation: Activation, patience: Int = 50) throws(SessionsError) -> Bool {
        try asSessionsError {
            for attempt in 0..<patience {
                guard let info = try deviceMapper.info(MapperNames.origin(activation)) else {
                    return true
                }
                if info.openCount == 0 { return true }
                if try !uses(of: info.number).isEmpty { return false }
                if attempt + 1 < patience { kernel.pause(milliseconds: 100) }
            }
            return false
        }
    }
}
