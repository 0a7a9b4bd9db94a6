import Block
import FoundationEssentials
import SystemPackage
import WriteLog

/// A device of whose mounts there are sessions, and maybe one that is put back by itself.
extension Aftermath {
    /// - Parameters:
    ///   - before: what the device held when the power came back.
    ///   - known: what the registry said then.
    mutating func judgeSessions(
        _ before: [UInt8], _ known: RegistryFile.Activation?
    ) async throws {
        let policy = known?.restorePolicy
        let device =
            if let policy { try await backAtBase(policy) } else {
                try await settled(before, known)
            }
        let sessions = try await list()
        let listed = Set(sessions.map(\.key))
        for key in recording.closed(at: cut.point).subtracting(listed) {
            lose("the session of store \(key), which had been closed, isn't there")
        }
        if policy == nil, let now, !listed.contains(now), try !isWithoutWrites(before, now) {
            lose("the device was written, and store \(now) became no session")
        }
        // Each one by itself, to a copy of the device.
        for session in sessions {
            try Files.replace(Self.copy, with: device)
            try await restore(session, truth(of: session, before, known), to: Self.copy)
        }
        // Through the device itself the one that takes all the others.
        if let oldest = sessions.first {
            try await restore(oldest, truth(of: oldest, before, known))
        }
    }

    /// The store that captured when the power went, as far as is known.
    private var now: StoreKey? {
        switch recording.mark(at: cut.point) {
        case .armed(let key), .mounted(let key): key
        case .deactivated, .deleting, .over, nil: nil
        }
    }

    /// Whether the device is as it was when this store was armed, or the next one, which may have been.
    private func isWithoutWrites(_ device: [UInt8], _ key: StoreKey) throws -> Bool {
        let next = StoreKey(activation: key.activation, store: key.store + 1)
        return try device == recording.image(of: key) || device == recording.image(of: next)
    }

    /// What a session goes back to; nil if nobody knows. A store that was armed after the cut, and is a session
    /// already, as it keeps what a restore overwrites, goes back to what the cut left.
    private func truth(
        of session: SessionFile, _ before: [UInt8], _ known: RegistryFile.Activation?
    ) throws -> [UInt8]? {
        if let known, session.key.activation == known.id, session.key.store > known.key.store {
            return before
        }
        return try recording.image(of: session.key)
    }

    /// Whatever came, it is put back.
    private mutating func backAtBase(_ policy: RegistryFile.Activation.Policy) async throws
        -> [UInt8]
    {
        try await eventually("it is put back", within: 90) {
            try RegistryFile.activation()?.isBack ?? true
        }
        let device = try CutDisk.contents(CutDisk.Slice.origin.node)
        if try device == recording.image(at: policy.base) {
            countExact()
        } else {
            lose("it is not put back to \(policy.base)")
        }
        return device
    }

    /// Assembling writes nothing to the device; but an online restore goes on, comes to its end, and is
    /// made a session.
    ///
    /// - Returns: what the device then holds.
    private mutating func settled(
        _ before: [UInt8], _ known: RegistryFile.Activation?
    ) async throws -> [UInt8] {
        let node = CutDisk.Slice.origin.node
        guard let known, let merge = known.state.merge else {
            let device = try CutDisk.contents(node)
            if device != before { problem("the device was changed by assembling it") }
            return device
        }
        try await eventually("the online restore ends", within: 60) {
            try RegistryFile.activation()?.state.merge == nil
        }
        let device = try CutDisk.contents(node)
        if device != before {
            // Assembling armed one store; another one comes when what merging overwrote is a session.
            try await eventually("what undoes the online restore is a session", within: 60) {
                guard let state = try RegistryFile.activation()?.state else { return false }
                return state.name == "armed" && state.store.number >= known.key.store + 2
            }
        }
        guard case .armed = recording.mark(at: cut.point) else { return device }
        let goal = try recording.image(of: SessionFile(merge.session).key)
        if device != goal, merge.isRunning || device != before {
            problem("the online restore that was cut short ended in something else")
        }
        return device
    }

    /// The sessions as the program lists them, the oldest first.
    private mutating func list() async throws -> [SessionFile] {
        struct Listed: Decodable {
            let name: String
        }
        let output = try await Dmsnap.call(["sessions", "--json"])
        if output.status != 0 || !output.err.isEmpty {
            problem("sessions ended with \(output.status): \(output.err)")
        }
        let listed = try JSONDecoder().decode([Listed].self, from: Data(output.out.utf8))
        return try listed.map { try SessionFile($0.name) }
    }

    /// In memory.
    private static let copy: FilePath = "/dev/shm/cut-copy"

    /// - Parameter copy: a copy of the device; nil for the device.
    private mutating func restore(
        _ session: SessionFile, _ truth: [UInt8]?, to copy: FilePath? = nil
    ) async throws {
        let what =
            "session \(session.name) of store \(session.key)"
            + (copy == nil ? "" : ", to a copy,")
        let output = try await Dmsnap.call(
            ["restore", "--session", session.name] + (copy.map { ["--device", $0.string] } ?? []))
        if session.continues != nil {
            if output.status != 65 || !output.err.contains("begins in the middle of a restore") {
                problem("\(what) begins in no state of the device, and: \(output.err)\(output.out)")
            }
            return
        }
        guard let truth else {
            lose("\(what) is of a store that nobody armed")
            return
        }
        if output.status == 66, recording.deleting(at: cut.point).contains(session.key),
            !Files.exists(session.directory)
        {
            return  // The monitor has gone on with deleting it since the list was made.
        }
        guard output.status == 0 else {
            lose("\(what) isn't restored (\(output.status)): \(output.err)\(output.out)")
            return
        }
        let device =
            try copy.map { copy throws in
                try Files.read(copy, limit: truth.count)
            } ?? CutDisk.contents(CutDisk.Slice.origin.node)
        guard device == truth else {
            let first = zip(device, truth).enumerated().first { $1.0 != $1.1 }?.offset ?? -1
            let count = zip(device, truth).count { $0 != $1 }
            lose(
                "\(what) was restored to something else, \(count) bytes from \(first) on, and: "
                    + output.out)
            return
        }
        countExact()
    }
}
