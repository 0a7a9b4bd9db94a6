import Block
import DeviceMapper
import FoundationEssentials
import SystemPackage

/// Which file is behind which device, and who has it.
extension SimulatedKernel {
    func loopPath(_ index: UInt32) -> FilePath {
        nodes.appending("loop\(index)")
    }

    func proc(_ file: FileDescriptor) -> FilePath {
        FilePath("/proc/self/fd/\(file.rawValue)")
    }

    /// The device with a node at this path.
    func number(of path: FilePath) -> DeviceNumber? {
        if let disk = disks.first(where: { $0.path == path }) { return disk.number }
        if let index = loops.keys.first(where: { loopPath($0) == path }) {
            return DeviceNumber(major: 7, minor: index)
        }
        return mapped.first { DeviceName($0.key)?.path == path.string }?.value.number
    }

    /// The file that holds a device's contents, and the name of the origin over it if the device is
    /// one.
    func backing(
        of number: DeviceNumber, _ path: FilePath
    ) throws(SystemError) -> (FileDescriptor, origin: String?) {
        if let disk = disks.first(where: { $0.number == number }) { return (disk.file, nil) }
        if number.major == 7, let loop = loops[number.minor] { return (loop.file, nil) }
        if let (name, device) = mapped.first(where: { $0.value.number == number }),
            let source = source(of: device.live)
        {
            if device.isSuspended {
                // A real reader would sleep here for ever.
                violations.append("\(name) is read while it is suspended")
                throw SystemError(operation: "read", path: path.string, errno: .deadlock)
            }
            return (try backing(of: source, path).0, name)
        }
        throw SystemError(
            operation: "open", path: path.string, errno: .noSuchAddressOrDevice)
    }

    func reading(_ path: FilePath) throws(SystemError) -> OwnedDescriptor {
        guard let number = number(of: path) else {
            return try OwnedDescriptor.open(path, .readOnly)
        }
        return try OwnedDescriptor.open(proc(backing(of: number, path).0), .readOnly)
    }

    /// What a reader of a device gets: where a store is merged into it, not what is on the disk.
    func shown(_ path: FilePath) throws(SystemError) -> OwnedDescriptor {
        guard
            let (name, _) = mapped.first(where: {
                DeviceName($0.key)?.path == path.string
                    && (merging($0.value) != nil || overlay($0.value) != nil)
            }), let bytes = try? contents(ofMapped: name)
        else { return try reading(path) }
        let view = nodes.appending("merged-view")
        try Files.makeDirectory(nodes)
        try? Files.remove(view)
        let file = try OwnedDescriptor.create(view)
        try file.write(bytes, at: 0)
        try Files.remove(view)
        return file
    }

    func attach(_ file: FilePath) throws(SystemError) -> (path: FilePath, number: DeviceNumber) {
        let status = try FileStatus(file)
        let index = (0...).first { loops[$0] == nil } ?? 0
        do {
            loops[index] = Loop(
                file: try FileDescriptor.open(file, .readWrite, options: .closeOnExec),
                backing: file, fileSystem: status.fileSystem, inode: status.inode)
        } catch {
            throw SystemError(
                operation: "LOOP_CONFIGURE", path: file.string, errno: error as? Errno ?? .ioError)
        }
        calls.append("attachLoop loop\(index)")
        return (loopPath(index), DeviceNumber(major: 7, minor: index))
    }

    /// What an origin or a snapshot is an origin or a snapshot of.
    func source(of table: Target?) -> DeviceNumber? {
        guard let table else { return nil }
        return switch table.type {
        case SnapshotOriginTarget.type: SnapshotOriginTarget(parameters: table.parameters)?.origin
        case SnapshotTarget.type, SnapshotMergeTarget.type:
            SnapshotTarget(parameters: table.parameters)?.origin
        default: nil
        }
    }

    /// Whether a device is mounted, or under a table.
    func isClaimed(_ number: DeviceNumber) -> Bool {
        if mounted[number]?.isEmpty == false { return true }
        return mapped.values.contains { device in
            [device.live, device.inactive].compactMap { $0 }.contains { table in
                source(of: table) == number
                    || SnapshotTarget(parameters: table.parameters)?.store == number
            }
        }
    }

    func isOrigin(_ table: Target?, of number: DeviceNumber) -> Bool {
        [SnapshotOriginTarget.type, SnapshotMergeTarget.type].contains(table?.type)
            && source(of: table) == number
    }

    /// The live snapshots of a raw device, by name.
    func snapshots(of number: DeviceNumber) -> [(name: String, store: SimulatedStore)] {
        mapped.sorted { $0.key < $1.key }.compactMap { name, device in
            guard let table = device.live, table.type == SnapshotTarget.type,
                source(of: table) == number, let store = device.store
            else { return nil }
            return (name, store)
        }
    }

    /// dm-snap's origin_map: old chunks into every snapshot, before the write.
    ///
    /// A bio goes through whole up to where the origin splits it; of a snapshot that it doesn't
    /// split for only the bio's first chunk is kept.
    func keep(_ range: Range<Int>, of origin: Mapped, _ old: (Range<Int>) throws -> [UInt8]) throws
    {
        guard !range.isEmpty, let number = source(of: origin.live) else { return }
        for (name, store) in snapshots(of: number) {
            let chunk = store.chunkBytes
            let last =
                origin.splitsFor.contains(name)
                ? (range.upperBound - 1) / chunk : range.lowerBound / chunk
            for one in range.lowerBound / chunk...last {
                try store.capture(one) { try old(one * chunk..<(one + 1) * chunk) }
            }
        }
    }

    /// Whether a descriptor that was handed out is open still.
    func isOpen(_ descriptor: CInt, _ name: String) -> Bool {
        guard let device = mapped[name], let number = source(of: device.live),
            let file = try? backing(of: number, "").0,
            let ours = try? FileStatus(proc(file)),
            let theirs = try? FileStatus(FilePath("/proc/self/fd/\(descriptor)"))
        else { return false }
        return ours.inode == theirs.inode && ours.fileSystem == theirs.fileSystem
    }

    /// Captures what was written through descriptors that `open` has given for an origin.
    ///
    /// Nobody looks at a store in between, so it makes no difference that it happens late.
    func absorb() {
        Steps.elsewhere {
            for index in handed.indices.reversed() {
                let (descriptor, name, written) = handed[index]
                defer { if !isOpen(descriptor, name) { handed.remove(at: index) } }
                guard let before = written, let device = mapped[name],
                    let number = source(of: device.live),
                    let file = try? backing(of: number, "").0,
                    let now = try? allBytes(of: file)
                else { continue }
                var position = 0
                while position < now.count {
                    guard now[position] != before[position] else {
                        position += 1
                        continue
                    }
                    var end = position
                    while end < now.count, now[end] != before[end] { end += 1 }
                    try? keep(position..<end, of: device) { range in
                        Array(before[range.clamped(to: 0..<before.count)])
                    }
                    position = end
                }
                handed[index].before = now
            }
        }
    }

    func openCount(_ name: String) -> Int {
        guard let device = mapped[name] else { return 0 }
        return device.programs + (mounted[device.number]?.count ?? 0)
            + (hidden[device.number]?.count ?? 0)
            + handed.filter { $0.name == name && isOpen($0.descriptor, name) }.count
    }
}
