internal import Block
internal import Glibc
internal import SystemPackage

extension SnapshotService {
    /// A service on a kernel, the machine's own or a simulated one.
    ///
    /// - Parameter notice: told what is worth knowing and no failure.
    /// - Throws: `configuration` if the configuration file can't be used.
    public init(
        kernel: any Kernel, layout: Layout = Layout(),
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(SessionsError) {
        self.init(
            kernel: kernel, registry: Registry(layout: layout, notice: notice),
            configuration: try Configuration(reading: layout))
    }

    /// A service on this machine's kernel.
    ///
    /// - Parameter action: what only root may do, for the message: `activate a device`.
    /// - Throws: `notRoot`, `noDeviceMapper`, `configuration`.
    public static func forRoot(to action: String) throws(SessionsError) -> SnapshotService {
        guard geteuid() == 0 else { throw .notRoot(action) }
        return try SnapshotService(kernel: HostKernel(), notice: tell)
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
        if geteuid() == 0 { return try SnapshotService(kernel: kernel, notice: tell) }
        // A bare name may be a file's that lies where the user is.
        guard let path, path.contains("/") || Files.exists(FilePath(path)) else {
            throw .notRoot(action)
        }
        let layout = Layout()
        return SnapshotService(
            kernel: kernel, registry: Registry(layout: layout, isForRoot: false),
            configuration: Configuration(layout: layout))
    }

    /// A word for whoever runs the command.
    static func tell(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(Array("dmsnap: \(text)\n".utf8))
    }
}
