import Block
import SystemPackage

/// Which device or file an activation means, when names have changed.
extension DeviceFinder {
    /// The identity of an image file.
    func identity(ofImage path: FilePath, _ contents: Contents) throws(SystemError)
        -> SourceIdentity
    {
        let status = try FileStatus(path)
        return SourceIdentity(
            contents: contents, hardware: [], fileSystem: status.fileSystem,
            fileSystemUUID: kernel.fileSystemUUID(holding: path), inode: status.inode)
    }

    /// Finds an activation's device or image again, also under another name.
    ///
    /// - Returns: its path and identity now; nil if it isn't there.
    /// - Throws: `unsuitable` if several things could be it, or if what has its name is another:
    ///   it is never guessed.
    func locate(
        _ activation: Activation
    ) throws(SessionsError) -> (path: FilePath, identity: SourceIdentity)? {
        try asSessionsError {
            switch activation.kind {
            case .image: return try locateImage(activation)
            case .block: return try locateBlock(activation)
            }
        }
    }

    private func locateImage(
        _ activation: Activation
    ) throws -> (path: FilePath, identity: SourceIdentity)? {
        let path = activation.path.path
        guard Files.exists(path) else { return nil }
        let status = try FileStatus(path)
        guard status.kind == .regular else { return nil }
        let found = try identity(ofImage: path, activation.identity.contents)
        let known = activation.identity
        // Device numbers change between boots; the holding file system's UUID does not.
        let sameFileSystem =
            known.fileSystemUUID == nil && found.fileSystemUUID == nil
            || known.fileSystemUUID == found.fileSystemUUID
        guard found.inode == known.inode, sameFileSystem else {
            throw SessionsError.unsuitable(
                device: activation.path.text,
                reason: "it is another file than was activated; put that one back, or deactivate "
                    + "\(activation.name)")
        }
        guard status.size.inWholeSectors == activation.size else {
            throw SessionsError.unsuitable(
                device: activation.path.text,
                reason: "its size is \(status.size.bytes) bytes and was \(activation.size.bytes) "
                    + "when it was activated; put that back, or deactivate \(activation.name)")
        }
        return (path, found)
    }

    private func locateBlock(
        _ activation: Activation
    ) throws -> (path: FilePath, identity: SourceIdentity)? {
        var found: [(path: FilePath, identity: SourceIdentity)] = []
        for path in kernel.blockDevices() {
            guard let device = try? kernel.blockDevice(path), device.size == activation.size,
                device.hardwareIdentity == activation.identity.hardware,
                Self.isSame(try? kernel.contents(path), activation)
            else { continue }
            var identity = activation.identity
            identity.hardware = device.hardwareIdentity
            found.append((path, identity))
        }
        guard found.count > 1 else { return found.first }
        // Paths to one disk show the same contents. Another disk that says it has the same serial
        // number, or a copy of this one, is never taken for it, whatever its name.
        if activation.identity.isMarked, let first = found.first {
            let prints = found.map { try? kernel.fingerprint($0.path, samples: true) }
            if let print = prints[0], prints.allSatisfy({ $0 == print }) {
                return found.first { ByteText($0.path) == activation.path } ?? first
            }
        }
        throw SessionsError.unsuitable(
            device: activation.path.text,
            reason: "several devices look like it ("
                + found.map(\.path.string).joined(separator: ", ")
                + "), and nothing tells them apart")
    }

    /// Whether a device is another path to an activated disk.
    ///
    /// - Parameter isUsed: whether it is mounted, or under another device.
    func isOtherPath(_ path: FilePath, to activation: Activation, isUsed: Bool) -> Bool {
        guard activation.kind == .block, let own = try? stack.source(activation),
            let disk = try? kernel.blockDevice(own.path)
        else { return false }
        return isOtherPath(path, to: disk, isUsed: isUsed)
    }

    /// What uses a block device, also by other paths to the disk, of which the kernel doesn't know that they
    /// are the same.
    func uses(of block: BlockDevice) throws(SessionsError) -> [DeviceUse] {
        let uses = try stack.uses(of: block.number)
        guard uses.isEmpty, BlockDevice.isMarked(block.hardwareIdentity) else { return uses }
        for path in kernel.blockDevices() {
            guard let number = try? kernel.status(path).deviceNumber, number != block.number,
                kernel.size(of: number) == block.size,
                let use = try stack.uses(of: number).first,
                isOtherPath(path, to: block, isUsed: true)
            else { continue }
            return [.otherPath(path.string, use)]
        }
        return []
    }

    /// The hardware says that it is the same disk, and both show the same contents. Another disk with the same
    /// serial number doesn't, nor a copy that was changed.
    ///
    /// What is used is read with what its user has not written yet; there it is enough that most is the same.
    private func isOtherPath(_ path: FilePath, to disk: BlockDevice, isUsed: Bool) -> Bool {
        guard BlockDevice.isMarked(disk.hardwareIdentity),
            let other = try? kernel.blockDevice(path), other.number != disk.number,
            other.size == disk.size, other.hardwareIdentity == disk.hardwareIdentity
        else { return false }
        // More than once: somebody may be writing to it.
        return (0..<3).contains { _ in
            guard let one = try? kernel.fingerprint(disk.path, samples: true),
                let two = try? kernel.fingerprint(path, samples: true)
            else { return false }
            if !isUsed { return one == two }
            return one.contents.type == two.contents.type && one.contents.uuid == two.contents.uuid
                && one.differences(from: two).count * 4 <= one.places.count + one.samples.count
        }
    }

    /// Whether contents found now can be those of the activation: the device is as the armed store's
    /// baseline says, or at least the same partition.
    ///
    /// A mount may change a label or even the UUID, so a session that is open proves less.
    ///
    /// - Parameter contents: nil where libblkid finds contradictions, as it may while one file system
    ///   is restored over another: then only the hardware tells.
    private static func isSame(_ contents: Contents?, _ activation: Activation) -> Bool {
        guard let contents else {
            return activation.merge != nil && !activation.identity.hardware.isEmpty
        }
        if let partition = activation.identity.contents.partitionUUID {
            return contents.partitionUUID == partition
        }
        if activation.identity.isMarked { return true }
        if let goal = activation.merge?.contents, contents.type == goal.type,
            contents.uuid == goal.uuid
        {
            return true
        }
        return contents.type == activation.store.baseline.contents.type
            && contents.uuid == activation.store.baseline.contents.uuid
    }

    /// The activation that a raw block device belongs to, by what it is; for the udev rule that keeps
    /// others off it.
    func claimant(of device: String) throws(SessionsError) -> Activation? {
        let candidates = try registry.activations().filter { $0.kind == .block }
        guard !candidates.isEmpty else { return nil }
        return try asSessionsError {
            let path = FilePath(device)
            let block = try kernel.blockDevice(path)
            let contents = try? kernel.contents(path)
            return candidates.first { activation in
                block.size == activation.size
                    && block.hardwareIdentity == activation.identity.hardware
                    && Self.isSame(contents, activation)
            }
        }
    }
}
