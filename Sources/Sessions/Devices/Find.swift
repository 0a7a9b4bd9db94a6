import Block
import DeviceMapper
import SystemPackage

/// From what the user typed to what it means.
extension SnapshotService {
    /// The activation of a device or image, by any of its names.
    ///
    /// - Returns: nil if the thing exists and isn't activated.
    /// - Throws: `noSuchDevice` if there is no such thing, and no activation of that name or path.
    public func find(_ device: String) throws(SessionsError) -> Activation? {
        let activations = try activations()
        if let same = activations.first(where: { $0.path == device }) { return same }
        let named = activations.first { $0.name == device || path(of: $0) == device }
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
        }
    }

    /// What is mounted: `/dev/mapper/dmsnap-<name>`.
    public func path(of activation: Activation) -> String {
        (try? MapperNames.origin(activation).path) ?? ""
    }

    /// Whether a file or node is an activation's source, its loop device, or its origin.
    private func isSame(_ activation: Activation, _ status: FileStatus) throws -> Bool {
        switch status.kind {
        case .regular:
            return activation.kind == .image && activation.identity.inode == status.inode
                && activation.identity.fileSystem == status.fileSystem
        case .blockDevice:
            let origin = try deviceMapper.info(MapperNames.origin(activation))
            if origin?.number == status.deviceNumber { return true }
            return (try? source(activation).number) == status.deviceNumber
        default:
            return false
        }
    }
}
