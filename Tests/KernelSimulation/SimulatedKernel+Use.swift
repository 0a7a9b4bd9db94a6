package import Block
import DeviceMapper
package import SystemPackage

/// What users do with the machine, and what happens to it.
extension SimulatedKernel {
    /// A disk of these contents.
    ///
    /// - Returns: its node's path.
    @discardableResult
    package func addDisk(
        _ name: String, _ bytes: [UInt8], hardware: [String] = []
    ) throws -> FilePath {
        try Files.makeDirectory(nodes)
        let path = nodes.appending(name)
        let file = try FileDescriptor.open(
            path, .readWrite, options: [.create, .truncate, .closeOnExec],
            permissions: .ownerReadWrite)
        try file.writeAll(toAbsoluteOffset: 0, bytes)
        let minor = (disks.map(\.number.minor).max() ?? 0) + 16
        disks.append(
            Disk(
                path: path, number: DeviceNumber(major: 8, minor: minor), file: file,
                hardware: hardware))
        return path
    }

    /// Gives the disks other names, as another boot may.
    package func renameDisk(_ path: FilePath, to name: String) throws {
        guard let index = disks.firstIndex(where: { $0.path == path }) else { return }
        let new = nodes.appending(name)
        try Files.rename(path, to: new)
        disks[index].path = new
    }

    /// Pulls a disk out, or puts one back.
    package func removeDisk(_ path: FilePath) {
        disks.removeAll { $0.path == path }
    }

    /// Whether a disk takes writes.
    package func setReadOnly(_ path: FilePath) {
        for index in disks.indices where disks[index].path == path {
            disks[index].isReadOnly = true
        }
    }

    /// A loop device attached by hand, to the whole file or with an offset.
    package func attachByHand(
        _ file: FilePath, as index: UInt32, isWhole: Bool = true, isReadOnly: Bool = false,
        isPassing: Bool = false
    ) throws {
        let found = try attach(file)
        loops[index] = loops.removeValue(forKey: found.number.minor)
        loops[index]?.isWhole = isWhole
        loops[index]?.isReadOnly = isReadOnly
        loops[index]?.isPassing = isPassing
    }

    /// The last one who had a loop device open has closed it.
    package func letGo(ofLoop index: UInt32) {
        guard let loop = loops.removeValue(forKey: index) else { return }
        try? loop.file.close()
    }

    /// Everything that is attached or loaded, for tests that nothing is left.
    package var remains: [String] {
        mapped.keys.sorted() + loops.keys.sorted().map { "loop\($0)" }
    }

    /// The device-mapper devices that are suspended.
    package var suspended: [String] {
        mapped.filter { $0.value.isSuspended }.keys.sorted()
    }

    /// A device's number; nil if it isn't there.
    package func number(ofMapped name: String) -> DeviceNumber? { mapped[name]?.number }

    private func origin(_ name: String) throws -> Mapped {
        guard let device = mapped[name], device.live != nil else {
            throw Errno.noSuchFileOrDirectory
        }
        return device
    }

    /// Mounts a device-mapper device. While it is suspended the mount has opened it and waits.
    package func mount(_ name: String, at target: String = "/mnt") throws {
        let device = try origin(name)
        mounted[device.number, default: []].append(
            Mount(
                number: device.number, source: "/dev/mapper/\(name)", target: target,
                type: "ext4", options: "rw"))
    }

    /// Mounts a disk itself.
    package func mountDisk(_ path: FilePath, at target: String = "/mnt") {
        guard let number = number(of: path) else { return }
        mounted[number, default: []].append(
            Mount(
                number: number, source: path.string, target: target, type: "ext4", options: "rw"))
    }

    /// Unmounts a disk itself.
    package func unmountDisk(_ path: FilePath) {
        guard let number = number(of: path) else { return }
        _ = mounted[number]?.popLast()
    }

    /// Unmounts the latest mount of it.
    package func unmount(_ name: String) {
        guard let device = mapped[name] else { return }
        _ = mounted[device.number]?.popLast()
    }

    /// Makes what is mounted on a directory read-only.
    package func remountReadOnly(_ target: String) {
        for (number, mounts) in mounted {
            mounted[number] = mounts.map { mount in
                mount.target != target
                    ? mount
                    : Mount(
                        number: mount.number, source: mount.source, target: target,
                        type: mount.type, options: "ro")
            }
        }
    }

    /// Programs open or close the device; some of them only to read.
    package func setPrograms(_ count: Int, readers: Int = 0, on name: String) {
        mapped[name]?.programs = count
        mapped[name]?.readers = readers
    }

    /// Writes through an origin.
    ///
    /// - Throws: EDEADLK where a real writer would wait for a resume that never comes.
    package func write(_ bytes: [UInt8], at offset: Int, to name: String) throws {
        try Steps.elsewhere {
            let device = try origin(name)
            guard !device.isSuspended, let number = source(of: device.live) else {
                throw Errno.deadlock
            }
            writes[device.number, default: 0] += 1
            let file = try backing(of: number, "").0
            let old = try allBytes(of: file)
            func writeOrigin(_ range: Range<Int>) throws {
                try keep(range, of: device) { Array(old[$0.clamped(to: 0..<old.count)]) }
                let new = bytes[range.lowerBound - offset..<range.upperBound - offset]
                unflushed.append(
                    UnflushedWrite(
                        device: number, offset: range.lowerBound, old: Array(old[range]),
                        new: Array(new)))
                try file.writeAll(toAbsoluteOffset: Int64(range.lowerBound), new)
            }
            let range = offset..<offset + bytes.count
            if let store = overlay(device) {
                guard store.isValid, !store.isFull else { throw Errno.ioError }
                for part in chunks(of: range, store.chunkBytes) {
                    let chunk = part.lowerBound / store.chunkBytes
                    try store.capture(chunk) {
                        let whole = chunk * store.chunkBytes..<(chunk + 1) * store.chunkBytes
                        return Array(old[whole.clamped(to: 0..<old.count)])
                    }
                    let new = Array(bytes[part.lowerBound - offset..<part.upperBound - offset])
                    guard try store.write(new, at: part.lowerBound) else { throw Errno.ioError }
                }
                return
            }
            guard let store = merging(device) else { return try writeOrigin(range) }
            // What is not back yet is written to the store, and no snapshot is told.
            for part in chunks(of: range, store.chunkBytes) {
                let new = Array(bytes[part.lowerBound - offset..<part.upperBound - offset])
                if try !store.write(new, at: part.lowerBound) { try writeOrigin(part) }
            }
        }
    }

    /// The node of a loop device.
    package func nodeOfLoop(_ index: UInt32) -> FilePath { loopPath(index) }

    /// Keeps a chunk of a write that came before the suspend that is on now.
    package func captureLate(_ name: String, at offset: Int) throws {
        try Steps.elsewhere {
            let device = try origin(name)
            guard let number = source(of: device.live) else { return }
            let old = try allBytes(of: backing(of: number, "").0)
            try keep(offset..<offset + 1, of: device) { Array(old[$0]) }
        }
    }

    /// What a device, an image attached or not, holds.
    package func bytes(of path: FilePath) throws -> [UInt8] {
        let file = try FileDescriptor.open(path, .readOnly)
        return try file.closeAfter { try allBytes(of: file) }
    }

    /// Drops a snapshot, as when its store fails.
    ///
    /// - Parameter isWritten: whether the store's header says so, too.
    package func invalidate(_ name: String, isWritten: Bool = true) throws {
        try mapped[name]?.store?.invalidate(isWritten: isWritten)
    }

    /// The machine goes off and on: what it had in memory is gone, files stay.
    package func reboot() {
        absorb()
        handed = []
        mapped = [:]
        mounted = [:]
        hidden = [:]
        writes = [:]
        for loop in loops.values { try? loop.file.close() }
        loops = [:]
        unflushed = []
        whenSuspended = { _ in }
        whenPaused = {}
        udevFails = false
    }
}
