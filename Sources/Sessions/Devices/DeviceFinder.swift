import Block
import DeviceMapper
import SystemPackage

/// From what the user typed, or what the registry remembers, to the device or file that it means.
struct DeviceFinder: Sendable {
    let kernel: any Kernel
    let registry: Registry
    let stack: Stack

    /// The activation of a device or image, by any of its names.
    ///
    /// - Returns: nil if the thing exists and isn't activated.
    /// - Throws: `noSuchDevice` if there is no such thing, and no activation of that name or path.
    func find(_ device: String) throws(SessionsError) -> Activation? {
        let activations = try registry.activations()
        let text = ByteText(device)
        if let same = activations.first(where: { $0.path == text }) { return same }
        let named = activations.first { $0.name == text || Self.path(of: $0) == text }
        let status: FileStatus
        do {
            status = try kernel.status(FilePath(device))
        } catch {
            // The device may be gone, and its node with it; then its name is all.
            if let named { return named }
            if error.errno == .noSuchFileOrDirectory { throw .noSuchDevice(device) }
            throw .system(error)
        }
        // A name stands for a thing only where there is no other thing at that path: image files
        // of one name lie in many directories.
        if status.kind != .regular, status.kind != .blockDevice, let named { return named }
        return try asSessionsError {
            try activations.first { try isSame($0, status) }
                ?? (status.kind == .blockDevice
                    ? activations.first { isOtherPath(FilePath(device), to: $0, isUsed: false) }
                    : nil)
        }
    }

    /// What is mounted: `/dev/mapper/dmsnap-<name>`.
    static func path(of activation: Activation) -> ByteText {
        ByteText((try? MapperNames.origin(activation).path) ?? "")
    }

    /// Whether a file or node is an activation's source, its loop device, or its origin.
    private func isSame(_ activation: Activation, _ status: FileStatus) throws -> Bool {
        switch status.kind {
        case .regular:
            if activation.isImage(status) { return true }
        case .blockDevice:
            if try stack.origin(activation)?.number == status.deviceNumber { return true }
            if (try? stack.source(activation).number) == status.deviceNumber { return true }
        default:
            return false
        }
        // A boot may have given it a name, or its file system a number, that the registry doesn't know
        // before it is assembled.
        guard try !stack.isLoaded(activation), let found = (try? locate(activation)) ?? nil,
            let there = try? kernel.status(found.path), there.kind == status.kind
        else { return false }
        return status.kind == .blockDevice
            ? there.deviceNumber == status.deviceNumber
            : there.inode == status.inode && there.fileSystem == status.fileSystem
    }

    /// The sessions' directory as it is now, to be remembered.
    func base(_ path: FilePath) -> BaseDirectory {
        BaseDirectory(
            path: ByteText(path), fileSystemUUID: kernel.fileSystemUUID(holding: path),
            isKnown: true)
    }

    /// Whether an activation's base directory is there: that one, and not what lies below its mount
    /// point, or was mounted over it.
    func isThere(_ base: BaseDirectory) -> Bool {
        guard Files.exists(base.path.path) else { return false }
        return !base.isKnown || self.base(base.path.path).fileSystemUUID == base.fileSystemUUID
    }

    /// Whether the place of an activation's store is there: its base directory, or, while nothing is
    /// loaded, a directory of the store's very name: it was moved there, or made by hand in the place
    /// of one that is gone for good.
    func hasStore(_ activation: Activation) -> Bool {
        isThere(activation.base) || Files.exists(activation.directory)
    }

    /// Refuses what would be written into another directory than the one meant.
    ///
    /// - Throws: `missingDirectory`.
    func requireBase(_ activation: Activation) throws(SessionsError) {
        guard try stack.isLoaded(activation) ? isThere(activation.base) : hasStore(activation)
        else {
            throw .missingDirectory(
                device: activation.path.text, directory: activation.directory.string)
        }
    }
}
