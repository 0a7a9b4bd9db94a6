internal import Block
internal import SessionArchive
public import SystemPackage

/// Writes sessions as a stream, for `Receiver` on another machine.
public struct Sender: Sendable {
    let catalogue: Catalogue
    let archiver: Archiver
    /// How many bytes of an archive go at a time: what a receiver has can only be gone on with by the
    /// same.
    var piece = TransferFrame.mostBytes

    /// Sends sessions, each with its record and its archive; one that is closed and has none yet gets it
    /// first.
    ///
    /// - Parameters:
    ///   - names: as `session(named:)` takes them.
    ///   - since: a session of the chain of the only one of `names`: all from that on are sent.
    ///   - point: what the receiver said when it was cut off: what it has is left out.
    ///   - output: where the stream goes.
    /// - Returns: the sessions that were sent.
    /// - Throws: `noSuchSession`, `unsuitable`, `busy` for an open one, `invalidSession`, `damagedStore`;
    ///   the stream is then cut, and nobody takes it for a whole one.
    public func send(
        _ names: [String], since: String? = nil, resume point: ResumePoint? = nil,
        to output: FileDescriptor, control: TransferControl = TransferControl()
    ) throws(SessionsError) -> [SessionName] {
        try asSessionsError {
            var sessions = try chosen(names, since: since)
            if let point {
                guard let first = sessions.firstIndex(where: { $0.record.name == point.name })
                else {
                    throw SessionsError.unsuitable(
                        device: "session \(point.name)",
                        reason: "it is to be gone on with, and is not among those to be sent; name "
                            + "the same sessions as before")
                }
                sessions.removeFirst(first)
            }
            // Before a byte is sent, so that nothing is sent for nothing.
            sessions = try sessions.map { try archived($0, control) }
            var stream = TransferOutput(output, name: "standard output")
            for session in sessions {
                let from = point?.name == session.record.name ? point : nil
                try catalogue.holding(session) {
                    try send(session, from: from, to: &stream, control)
                }
            }
            try stream.write(TransferMessage.finish.frame())
            return sessions.map(\.record.name)
        }
    }

    /// The sessions, each once, the older first.
    private func chosen(_ names: [String], since: String?) throws -> [Session] {
        var found: [Session] = []
        for session in try names.map({ try catalogue.session(named: $0) })
        where !found.contains(where: { $0.record.name == session.record.name }) {
            found.append(session)
        }
        guard let since else {
            return found.sorted {
                ($0.record.openedAt, $0.record.index) < ($1.record.openedAt, $1.record.index)
            }
        }
        let first = try catalogue.session(named: since)
        guard found.count == 1, let last = found.first else {
            throw SessionsError.unsuitable(
                device: "--since \(since)",
                reason: "it goes with one session, the last one of the stretch; name that alone")
        }
        let (chain, members) = try catalogue.lineage(of: first)
        let route = chain.route(to: first.record.name)?.members ?? []
        guard let end = route.firstIndex(of: last.record.name) else {
            throw SessionsError.unsuitable(
                device: "--since \(since)",
                reason: "session \(last.record.name) is none of its chain's later ones; "
                    + "`dmsnap sessions` shows what there is")
        }
        return route[...end].compactMap { members[$0] }
    }

    /// The session with an archive.
    private func archived(_ session: Session, _ control: TransferControl) throws -> Session {
        let name = session.record.name
        switch session.record.state {
        case .archived: return session
        case .open:
            throw SessionsError.busy(
                device: "session \(name)", reason: "it is open",
                advice: "unmount \(session.record.device), then send it")
        case .invalid:
            throw SessionsError.invalidSession(
                session: name.text, reason: session.record.loss ?? "its store has missed writes")
        case .closed: break
        }
        guard !session.isForeign else {
            throw SessionsError.unsuitable(
                device: "session \(name)",
                reason: "it has no archive, and lies elsewhere; send it from where it was made")
        }
        try archiver.archive(session, control: ArchiveControl(isCancelled: control.isCancelled))
        let made = try catalogue.session(at: session.directory)
        guard made.record.state == .archived else {
            throw SessionsError.busy(
                device: "session \(name)", reason: "it is only just being closed",
                advice: "try again in a moment")
        }
        return made
    }

    private func send(
        _ named: Session, from point: ResumePoint?, to stream: inout TransferOutput,
        _ control: TransferControl
    ) throws {
        // A deletion may have merged another one into it before it was held.
        let session =
            named.archive == nil
            ? try catalogue.session(at: named.directory, isForeign: named.isForeign) : named
        let name = session.record.name
        let reader = try catalogue.archiveReader(of: session)
        let head = TransferHead(
            session.record, bytes: reader.archiveBytes, piece: piece, from: point)
        if point == nil { try stream.write(TransferMessage.head.frame(JSON.encode(head))) }
        var checksum: UInt64 = 0
        var isBegun = point == nil
        /// What the receiver has must be the beginning of what is there.
        func goOn(at offset: UInt64) throws {
            guard !isBegun, offset == head.offset else { return }
            guard checksum == point?.checksum else {
                throw SessionsError.unsuitable(
                    device: "session \(name)",
                    reason:
                        "what was received of it is not the beginning of its archive, which was "
                        + "made anew; send it without --from")
            }
            try stream.write(TransferMessage.head.frame(JSON.encode(head)))
            isBegun = true
        }
        do {
            try reader.forEachPiece(bytes: piece) { offset, piece in
                if control.isCancelled() {
                    throw TransferFailure("sending session \(name) was stopped")
                }
                try goOn(at: offset)
                control.report(name, offset, head.bytes)
                if isBegun {
                    try stream.write(TransferMessage.data.frame(piece))
                } else {
                    checksum = TransferHash.of(piece, seed: checksum)
                }
            }
        } catch let error as ArchiveError {
            if case .system(let cause) = error { throw cause }
            throw SessionsError.damagedStore(session: name.text, reason: "\(error)")
        } catch let failure as TransferFailure {
            throw SessionsError.transfer(failure)
        }
        try goOn(at: head.bytes)
        guard isBegun else {
            throw SessionsError.unsuitable(
                device: "session \(name)",
                reason: "it has \(head.bytes) bytes, and more than that is said to have been "
                    + "received; send it without --from")
        }
        try stream.write(TransferMessage.end.frame())
        control.report(name, head.bytes, head.bytes)
    }
}
