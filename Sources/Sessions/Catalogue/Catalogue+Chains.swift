import Block
import SystemPackage

/// Where a device's sessions end: what its next one goes on with, and what may be said of that.
extension Catalogue {
    /// Lets the session before an activation's next one end in what nobody knows, since something was
    /// written past us.
    ///
    /// The fingerprint alone may not show it, and after a deactivation the session is all that is left.
    func forgetEnd(before activation: Activation) throws(SessionsError) {
        let last = try last(
            before: activation.chain, activation.sessionPrefix, in: activation.base.path.path)
        guard let last, last.record.end != nil else { return }
        try change(last) { $0.end = nil }
    }

    /// Notes that for a time after the session before an activation's next one nobody would have seen a
    /// write to the device: what is restored through it then hangs on there having been none.
    ///
    /// - Parameter now: what the device is at the end of that time; nothing is noted where it is surely
    ///   what it was.
    func noteUnwatched(
        before place: ChainPlace, _ prefix: ByteText, in base: FilePath,
        until now: Fingerprint? = nil
    ) throws(SessionsError) {
        guard let last = try last(before: place, prefix, in: base),
            last.record.unwatchedAfter != true
        else { return }
        if let now, let end = last.record.end, now.isOfSameWrite(as: end) { return }
        try change(last) { $0.unwatchedAfter = true }
    }

    /// - Parameter base: where it is sought first, by its prefix and from the latest on: among ten thousand
    ///   others reading each takes seconds, and a boot asks for every device.
    private func last(
        before place: ChainPlace, _ prefix: ByteText, in base: FilePath
    ) throws(SessionsError) -> Session? {
        guard place.index > 0 else { return nil }
        func isLast(_ session: Session) -> Bool {
            session.record.chain == place.id
                && session.record.places.upperBound == place.index - 1
        }
        let start = ByteText(prefix.text + "_")
        let names = ((try? Files.list(base)) ?? []).filter { ByteText($0).hasPrefix(start) }
        // One that is being merged into an earlier one is about to go, and ends where that one does.
        let isMerging = names.contains { Files.exists(Layout.absorbing(in: base.appending($0))) }
        for name in isMerging ? [] : names.sorted().reversed() {
            let found = try? session(at: base.appending(name))
            if let found, isLast(found) { return found }
        }
        return readable(in: try baseDirectories()).last(where: isLast)
    }

    /// The chain that a device which is being activated goes on with: that of its last session, if
    /// the device still is as that session (or a restore since) left it.
    ///
    /// A copy of the device has the same fingerprint: where nothing but its contents tells who it is
    /// the path has to be the same, and nobody else may be going on with the chain.
    func continuedChain(
        path: ByteText, kind: Activation.Kind, identity: SourceIdentity, fingerprint: Fingerprint
    ) throws(SessionsError) -> ChainPlace? {
        let inUse = Set(try registry.activations().map(\.chain.id))
        let isNameless = kind == .block && !identity.isMarked
        let all = readable(in: try baseDirectories())
        let ends = all.filter { session in
            let record = session.record
            return session.hasOwnDevice && record.end?.agrees(with: fingerprint) == true
                && record.deviceKind == kind
                && record.identity.hardware == identity.hardware
                && record.identity.inode == identity.inode
                && record.identity.fileSystem == identity.fileSystem
                && (!isNameless || record.device == path) && !inUse.contains(record.chain)
        }
        for session in ends.reversed() {
            let chain = Chain(all.map(\.record).filter { $0.chain == session.record.chain })
            if chain.members.last?.name == session.record.name { return chain.continuation }
        }
        return nil
    }
}
