import Block
import FoundationEssentials
import SystemPackage

/// A device or image that can be activated, as it was found.
struct Candidate {
    let kind: Activation.Kind
    let path: ByteText
    let name: ByteText
    let sessionPrefix: ByteText
    let size: ByteCount
    let sector: UInt32
    let identity: SourceIdentity
    let fingerprint: Fingerprint
    /// The loop device of an image that has one already; nil where one has to be made.
    var loop: FilePath?
}

/// Looks at what is to be activated and refuses what can't be, before anything is touched.
struct Examination {
    let stack: Stack
    let finder: DeviceFinder
    /// As the user named it.
    let device: String
    /// A loop device over all of the image that is to be used for it.
    let loop: FilePath?
    /// Whether what is written to it is to be on it.
    var isWritten = true

    private var kernel: any Kernel { stack.kernel }

    func run() throws -> Candidate {
        let path = try Files.resolve(FilePath(device))
        let status = try kernel.status(path)
        switch status.kind {
        case .blockDevice: return try examineBlock(path)
        case .regular: return try examineImage(path, status)
        default: throw unsuitable("it is neither a block device nor an image file")
        }
    }

    private func unsuitable(_ reason: String) -> SessionsError {
        .unsuitable(device: device, reason: reason)
    }

    private func busy(_ reason: String, _ advice: String) -> SessionsError {
        .busy(device: device, reason: reason, advice: advice)
    }

    private func examineBlock(_ path: FilePath) throws -> Candidate {
        let block = try kernel.blockDevice(path)
        if let uuid = Sysfs.attribute(Sysfs.directory(block.number).appending("dm/uuid")),
            MapperNames.isOurs(uuid: uuid)
        {
            throw unsuitable("it is one of dmsnap's own devices")
        }
        if block.isReadOnly, isWritten {
            throw unsuitable("it is read-only, so there is nothing to protect")
        }
        try refuseUsed(block)
        guard block.size.bytes >= 512 else { throw unsuitable("it is empty") }
        var identity = SourceIdentity(
            contents: try probe(path), hardware: block.hardwareIdentity)
        identity.contents.partitionTable = nil
        let name = ByteText(block.mapperName ?? block.kernelName)
        return Candidate(
            kind: .block, path: ByteText(path), name: name,
            sessionPrefix: SessionName.prefix(kernelName: name),
            size: block.size, sector: block.sector, identity: identity,
            fingerprint: try kernel.fingerprint(path, samples: true))
    }

    private func refuseUsed(_ block: BlockDevice) throws {
        if let use = try finder.uses(of: block).first {
            throw busy(
                use.description,
                "unmount it first (or swap it off), or activate what is built on it")
        }
        let partitions = Sysfs.partitions(block.number)
        for partition in partitions {
            let name = Sysfs.kernelName(partition) ?? "\(partition)"
            if let use = try stack.uses(of: partition).first {
                throw busy("of its partition \(name): \(use.description)", "activate partitions")
            }
        }
        if let first = partitions.first {
            throw unsuitable(
                "it is partitioned, and what is written to a partition would escape; "
                    + "activate the partitions, as /dev/\(Sysfs.kernelName(first) ?? "…")")
        }
        if let disk = Sysfs.disk(ofPartition: block.number),
            let holder = Sysfs.related(disk, "holders").first
        {
            throw busy(
                "its disk is used by \(Sysfs.kernelName(holder) ?? "\(holder)")",
                "take that down first")
        }
        do {
            try kernel.claim(block.path)
        } catch {
            guard error.errno == .resourceBusy else { throw error }
            throw busy(
                "something uses it (a mount, swap, or another device)",
                "find it with lsblk or swapon, and stop that first")
        }
    }

    private func examineImage(_ path: FilePath, _ status: FileStatus) throws -> Candidate {
        guard status.size.bytes >= 512 else {
            throw unsuitable("it is empty; an image has at least one sector")
        }
        let attached = try stack.settledLoops(on: path, but: loop)
        if let loop = try attached.first(where: { one in
            try one.path != self.loop || !one.isWhole || !stack.uses(of: one.number).isEmpty
        }) {
            throw busy(
                "it is attached to \(loop.path) already",
                "detach it with `losetup -d \(loop.path)`, or activate \(loop.path)")
        }
        // The loop device is cut to whole sectors; what is behind them no mount can change.
        return Candidate(
            kind: .image, path: ByteText(path),
            name: ByteText(path.lastComponent?.string ?? "image"),
            sessionPrefix: SessionName.prefix(imagePath: ByteText(path)),
            size: status.size.inWholeSectors, sector: 512,
            identity: try finder.identity(ofImage: path, probe(path)),
            fingerprint: try kernel.look(path, image: path), loop: loop)
    }

    private func probe(_ path: FilePath) throws -> Contents {
        do {
            let contents = try kernel.contents(path)
            // Whoever looks for parts of volumes or arrays would find it three times: raw, as the
            // origin, and as the snapshot.
            if contents.usage == "raid" {
                throw unsuitable(
                    "it is part of a volume group or an array (\(contents.type ?? "?")); "
                        + "activate the logical volume or the array that is made of it")
            }
            return contents
        } catch let error as SystemError {
            guard error.errno == .invalidArgument else { throw error }
            throw unsuitable("it carries signatures of several file systems; see `wipefs` on it")
        }
    }
}
