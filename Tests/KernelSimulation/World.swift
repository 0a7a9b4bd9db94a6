import Block
import DeviceMapper
import ExceptionStore
package import Sessions
package import StoreTesting
package import SystemPackage

/// A machine with dmsnap on it: a simulated kernel, and a root directory of its own.
package final class World {
    /// Everything on disk.
    package let directory: TemporaryDirectory
    /// Where dmsnap's own files are.
    package let layout: Layout
    /// The machine's kernel.
    package let kernel: SimulatedKernel
    /// For contents and choices.
    package var generator: SeededGenerator

    /// A machine with nothing activated.
    package init(seed: UInt64 = 1) throws {
        Steps.hurry(true)
        directory = try TemporaryDirectory()
        let root = try Files.resolve(directory.path)
        layout = Layout(root: root)
        kernel = SimulatedKernel(nodes: root.appending("dev"))
        generator = SeededGenerator(seed: seed)
        // A simulated disk is a file; nobody else may be able to look at the sessions.
        try Files.makeDirectory(layout.defaultSessions)
    }

    deinit { Steps.hurry(false) }

    /// dmsnap as a process that has just been started has it.
    package func service() throws -> SnapshotService {
        try SnapshotService(kernel: kernel, layout: layout)
    }

    /// A disk with random contents, 64 KiB unless told otherwise.
    @discardableResult
    package func disk(
        _ name: String = "sda", size: Int = 64 << 10, hardware: [String] = ["serial:1"]
    ) throws -> FilePath {
        try kernel.addDisk(name, generator.bytes(size), hardware: hardware)
    }

    /// An image file with random contents.
    package func image(_ name: String = "disk.img", size: Int = 64 << 10) throws -> FilePath {
        try directory.file(name, generator.bytes(size))
    }

    /// Activates with small chunks.
    @discardableResult
    package func activate(_ path: FilePath) throws -> Activation {
        switch try service().activate(path.string, .init(chunkSize: .init(parsing: "1K"))) {
        case .activated(let activation), .alreadyActive(let activation): activation
        }
    }

    /// The only activation.
    package func activation() throws -> Activation {
        guard let one = try service().activations().first else {
            throw SessionsError.notActivated("anything")
        }
        return one
    }

    /// The device-mapper name of an activation's origin.
    package func origin(_ activation: Activation) throws -> String {
        try MapperNames.origin(activation).text
    }

    /// The only activation's.
    package func origin() throws -> String { try origin(activation()) }

    /// Mounts the only activated device, and its rule's process opens the session.
    @discardableResult
    package func mount(at target: String = "/mnt") throws -> OpeningOutcome {
        let name = try origin()
        try kernel.mount(name, at: target)
        // udev's DM_NAME is escaped.
        return try service().openSession(DeviceName(name)?.escaped ?? name)
    }

    /// Unmounts it, and the monitor exchanges the store.
    @discardableResult
    package func unmount() throws -> RolloverOutcome {
        let activation = try activation()
        try kernel.unmount(origin(activation))
        return try service().rollOver(activation.id)
    }

    /// Random writes through an origin, the only one's unless told otherwise.
    package func scribble(_ writes: Int = 5, on name: String? = nil) throws {
        let activation = try activation()
        let name = try name ?? origin(activation)
        let size = Int(activation.size.bytes)
        for _ in 0..<writes {
            let length = Int.random(in: 1...size / 8, using: &generator)
            let offset = Int.random(in: 0...size - length, using: &generator)
            try kernel.write(generator.bytes(length), at: offset, to: name)
        }
    }

    /// One mount with random writes.
    ///
    /// - Returns: the session's name.
    @discardableResult
    package func session(writes: Int = 5) throws -> String {
        guard case .opened(let name) = try mount() else { throw Unexpected("the mount's opening") }
        try scribble(writes)
        guard case .closed = try unmount() else { throw Unexpected("the unmount's end") }
        return name.text
    }

    /// The sessions on disk that can be read, the oldest first.
    package func sessions() throws -> [Session] {
        try service().sessions().map { try $0.get() }
    }

    /// Whether less is free than is kept for others.
    package var isShort: Bool { kernel.free < ByteCount(1 << 30) }

    /// What holds after everything that dmsnap does, and after whatever interrupted it.
    ///
    /// - Parameters:
    ///   - afterDeath: a killed process may leave an empty lock file until the next boot.
    ///   - known: activations and sessions, where somebody has read them already.
    /// - Returns: what doesn't.
    package func faults(
        afterDeath: Bool = false, known: (activations: [Activation], sessions: [Session])? = nil
    ) throws -> [String] {
        var faults = kernel.violations
        faults += kernel.suspended.map { "\($0) is suspended" }
        let activations = try known?.activations ?? service().activations()
        var expected: Set<String> = []
        var armed: Set<String> = []
        var lost = 0
        for activation in activations {
            let name = try origin(activation)
            expected.insert(name)
            let snapshot = "dmsnapcow-\(activation.name)-\(activation.store.number)"
            if activation.state.overlay != nil {
                // One table, the device's own.
            } else if activation.store.health == .sound {
                expected.insert(snapshot)
            } else if kernel.number(ofMapped: snapshot) != nil {
                // An invalid one is taken away under its session, as soon as somebody sees that.
                expected.insert(snapshot)
            } else if !activation.store.isAbsent {
                lost += 1
            }
            switch activation.state {
            case .armed, .open, .merging, .overlay: break
            case .discarding, .uncovering: faults.append("\(name) is in the middle of a change")
            case .activating, .deactivating, .exchanging:
                faults.append("\(name) is in the middle of a change")
            }
            if activation.session == nil {
                armed.insert("\(activation.id)-\(activation.store.number)")
            }
        }
        let mapped = Set(kernel.remains.filter { !$0.hasPrefix("loop") })
        faults += mapped.symmetricDifference(expected).map { "\($0) is too much, or not there" }
        let loops = kernel.remains.count - mapped.count
        let merging = activations.count { $0.merge != nil }
        let stores = activations.count { !$0.store.isAbsent }
        let wanted = stores - lost + activations.count { $0.kind == .image } + merging
        if loops != wanted { faults.append("\(loops) loop devices, and not \(wanted)") }
        let directories = Set(
            [layout.defaultSessions, layout.memory].flatMap {
                (try? Files.list($0.appending(".armed"))) ?? []
            })
        faults += directories.symmetricDifference(armed).map {
            ".armed/\($0) is too much, or not there"
        }
        let merged = Set((try? Files.list(layout.defaultSessions.appending(".merging"))) ?? [])
        faults += merged.symmetricDifference(activations.filter { $0.merge != nil }.map(\.id)).map {
            ".merging/\($0) is too much, or not there"
        }
        for session in try known?.sessions ?? sessions() where session.record.state == .open {
            let isOurs = activations.contains { $0.session == session.record.name }
            if !isOurs { faults.append("\(session.record.name) is open and nobody's") }
        }
        let locks = ((try? Files.list(layout.runDirectory)) ?? []).filter {
            $0.hasPrefix("activation-")
        }
        for lock in locks
        where !afterDeath && !activations.contains(where: { lock.contains($0.id) }) {
            faults.append("\(lock) is nobody's")
        }
        return faults
    }
}

/// A test came to something that it doesn't speak of.
package struct Unexpected: Error, CustomStringConvertible {
    /// What.
    package let description: String

    /// At `what`.
    package init(_ what: String) { description = "unexpected: \(what)" }
}

extension SnapshotService {
    /// Assembles every activation, as the machine's start does.
    package func assembleAll() throws(SessionsError)
        -> [(Activation, Result<AssemblyOutcome, SessionsError>)]
    {
        try activations().map { activation in
            (activation, Result { () throws(SessionsError) in try assemble(activation.id) })
        }
    }

    /// The session of this name.
    package func session(named name: SessionName) throws(SessionsError) -> Session {
        try session(named: name.text)
    }
}

extension RestoreRequest {
    /// A restore of `session` to its own device.
    package init(session: SessionName) {
        self.init(session: session.text)
    }
}
