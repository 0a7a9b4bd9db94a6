import Block
import ExceptionStore
import Restore
import SystemPackage

/// Where a view's stores are made: files that have a name no longer than they need one.
///
/// What a program that was killed has left is swept away by the next one.
final class Workshop {
    private let directory: FilePath
    private let lock: FileLock
    private let lifecycle: Lifecycle

    /// - Parameter base: the sessions' directory.
    /// - Throws: `noRoom`.
    init(_ names: ViewNames, in base: FilePath, _ lifecycle: Lifecycle) throws {
        self.lifecycle = lifecycle
        let layout = lifecycle.registry.layout
        directory = names.directory(in: base)
        try Files.makeDirectory(layout.runDirectory)
        lock = try FileLock.take(layout.viewLock(names.id))
        try Self.sweep(base, layout)
        if let shortage = lifecycle.room(in: base)?.shortage {
            throw SessionsError.noRoom(device: base.string, reason: shortage)
        }
        try Files.makeDirectory(directory.removingLastComponent())
        try Files.makeDirectory(directory)
    }

    deinit {
        try? Files.removeDirectory(directory)
        if let name = directory.lastComponent?.string {
            try? Files.remove(lifecycle.registry.layout.viewLock(name))
        }
    }

    private static func sweep(_ base: FilePath, _ layout: Layout) throws {
        let views = Layout.views(in: base)
        for name in (try? Files.list(views)) ?? [] {
            guard let abandoned = try FileLock.takeIfFree(layout.viewLock(name)) else { continue }
            try Files.removeDirectory(views.appending(name))
            try Files.remove(layout.viewLock(name))
            abandoned.release()
        }
    }

    /// A store for `size` bytes of origin with nothing in it.
    ///
    /// - Parameter isLimited: whether it ends where what is kept for others would begin: then it is full.
    func emptyStore(
        _ name: String, for size: ByteCount, _ chunk: ChunkSize, sector: UInt32,
        isLimited: Bool = false
    ) throws -> TemporaryLoop {
        let path = directory.appending(name)
        let file = try OwnedDescriptor.create(path)
        var needed = try StoreGeometry.bytesNeeded(originSize: size, chunkSize: chunk)
        if isLimited, let room = lifecycle.room(in: directory) {
            needed = min(needed, ByteCount(max(room.spare.bytes, 1 << 20) & ~0xF_FFFF))
        }
        try file.resize(to: needed)
        try StorePreparation.prepareFresh(file, chunkSize: chunk)
        try file.close()
        return try attach(path, sector)
    }

    /// A store with all that a plan puts back, to be read only.
    ///
    /// What closed stores keep, and the open one, stays where it is: the store is put together of their
    /// files and of an index to them. What is compressed, and what is older than something compressed, is
    /// read, checked and decompressed as somebody reads it.
    func unionStore(of plan: RestorePlan, sector: UInt32) throws -> ComposedStore {
        let packed = plan.sources.lastIndex { $0.plainDescriptor < 0 }.map { $0 + 1 } ?? 0
        var sources = Array(plan.sources[packed...])
        var parts = try sources.map { source in
            // By what is open: its name may be gone, or another's, since it was read.
            try lifecycle.kernel.attachTemporaryLoop(
                FilePath("/proc/self/fd/\(source.plainDescriptor)"), sector: sector,
                readOnly: true)
        }
        var served: ServedFile?
        if packed > 0 {
            // As long as it is looked into sessions come and go.
            let first = try UnionSource(
                RestorePlan(
                    sources: plan.sources[..<packed].map { ($0 as? HeldSource)?.released ?? $0 }))
            let file = try serve(first)
            sources.insert(first, at: 0)
            parts.insert(try attach(file, sector), at: 0)
            served = file
        }
        let union = try UnionSource(RestorePlan(sources: sources))
        let index = try StoreIndex(union.exceptions)
        let path = directory.appending("index")
        let file = try OwnedDescriptor.create(path)
        try index.write(to: file)
        try file.close()
        return ComposedStore(
            union: union, index: index, file: try attach(path, sector, readOnly: true),
            parts: parts, served: served)
    }

    private func serve(_ union: UnionSource) throws -> ServedFile {
        do throws(SystemError) {
            return try ServedFile(
                size: ByteCount(union.exceptions.storedEnd), reading: union.descriptors
            ) { span, offset in
                try union.readAnything(into: &span, at: offset)
            }
        } catch {
            throw SessionsError.unsuitable(
                device: union.path.string,
                reason: "it is compressed, and looking into it takes the kernel's FUSE: \(error)")
        }
    }

    private func attach(_ served: ServedFile, _ sector: UInt32) throws -> TemporaryLoop {
        guard let path = served.path else {
            throw SessionsError.internalFault("a served file was let go of before it was used")
        }
        return try lifecycle.kernel.attachTemporaryLoop(path, sector: sector, readOnly: true)
    }

    private func attach(
        _ path: FilePath, _ sector: UInt32, readOnly: Bool = false
    ) throws -> TemporaryLoop {
        let loop = try lifecycle.kernel.attachTemporaryLoop(
            path, sector: sector, readOnly: readOnly)
        try Files.remove(path)
        return loop
    }

    /// A device that isn't activated, as a block device.
    struct Source {
        let number: DeviceNumber
        let sector: UInt32
        let loop: TemporaryLoop?
    }

    /// The device itself, or a loop device over the image, which is only read.
    func source(_ path: FilePath) throws -> Source {
        let kernel = lifecycle.kernel
        guard try kernel.status(path).kind == .regular else {
            let device = try kernel.blockDevice(path)
            return Source(number: device.number, sector: device.sector, loop: nil)
        }
        let loop = try kernel.attachTemporaryLoop(path, sector: 512, readOnly: true)
        return Source(number: loop.number, sector: 512, loop: loop)
    }
}
