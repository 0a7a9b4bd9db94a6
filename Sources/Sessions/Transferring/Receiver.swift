internal import Block
internal import FoundationEssentials
internal import SessionArchive
public import SystemPackage

/// Takes sessions from a stream into this machine's directory of sessions.
///
/// The stream is somebody else's: everything in it is checked, a session appears whole or not at all, and
/// what its record says of devices and chains is never taken for this machine's own.
public struct Receiver: Sendable {
    let lifecycle: Lifecycle
    /// As the sender's.
    var piece = TransferFrame.mostBytes

    private var catalogue: Catalogue { lifecycle.catalogue }
    private var layout: Layout { catalogue.layout }

    /// What became of a session in the stream.
    public enum Outcome: Sendable {
        /// It is here now: its archive was read back and checked.
        case received(SessionName)
        /// It was here, with the same archive.
        case present(SessionName)
    }

    /// Receives sessions until the stream's end.
    ///
    /// - Parameters:
    ///   - input: read from its present place on, and not past the stream's end.
    ///   - isResuming: whether to go on with what an earlier call has left; that goes otherwise.
    ///   - report: called with each session as soon as it is here.
    /// - Throws: `transfer`, which tells from where to go on; the sessions before are here.
    public func receive(
        from input: FileDescriptor, resuming isResuming: Bool,
        control: TransferControl = TransferControl(), report: (Outcome) throws -> Void = { _ in }
    ) throws {
        let base = catalogue.configuration.sessionsDirectory
        try asSessionsError {
            try lifecycle.kernel.refuseWithoutMount(base, for: "dmsnap receive")
            try Files.makeDirectory(layout.runDirectory)
            try Files.makeDirectory(base)
            try Files.makeDirectory(Layout.receiving(in: base))
        }
        let lock = try FileLock.take(layout.receivingLock, patience: .seconds(5))
        guard let lock else {
            throw SessionsError.busy(
                device: "dmsnap receive", reason: "another one is receiving",
                advice: "wait for its end")
        }
        try lock.holding {
            let base = try TrustedPath.ours(base)
            var stream = TransferInput(input, isCancelled: control.isCancelled)
            var sink: (any ArchiveSink)?
            do {
                try run(&stream, into: &sink, in: base, isResuming, control, report)
            } catch let fault as TransferFault {
                throw failure(fault, sink?.point ?? left(in: base))
            } catch let error as SystemError {
                throw SessionsError.transfer(
                    TransferFailure("\(error)", resume: sink?.point))
            }
        }
    }

    private func run(
        _ stream: inout TransferInput, into sink: inout (any ArchiveSink)?, in base: FilePath,
        _ isResuming: Bool, _ control: TransferControl, _ report: (Outcome) throws -> Void
    ) throws {
        func disorder() -> SessionsError {
            .transfer(TransferFailure("the stream is in no order that it can have", isDamage: true))
        }
        while true {
            guard let frame = try stream.next() else { throw TransferFault.cut }
            if control.isCancelled() { throw TransferFault.stopped }
            switch (TransferMessage(rawValue: frame.kind), sink) {
            case (.head, nil):
                sink = try begin(try head(frame.payload), in: base, isResuming)
            case (.data, let current?):
                guard current.position < current.head.bytes,
                    frame.payload.count == current.head.pieceBytes(at: current.position)
                else { throw disorder() }
                try current.take(frame.payload)
                control.report(current.head.record.name, current.position, current.head.bytes)
            case (.end, let current?):
                guard current.position == current.head.bytes else { throw disorder() }
                sink = nil
                try report(current.finish(control))
            case (.finish, nil): return
            default: throw disorder()
            }
        }
    }

    private func head(_ payload: [UInt8]) throws(SessionsError) -> TransferHead {
        let head = try? JSON.decode(TransferHead.self, bytes: payload)
        guard let head else {
            throw .transfer(
                TransferFailure("the stream's session has no head that parses", isDamage: true))
        }
        if let fault = head.fault {
            throw .transfer(TransferFailure("the stream is refused: \(fault)", isDamage: true))
        }
        return head
    }

    /// Where a session's bytes go.
    private func begin(
        _ head: TransferHead, in base: FilePath, _ isResuming: Bool
    ) throws -> any ArchiveSink {
        let name = head.record.name
        for there in try catalogue.baseDirectories().map({ Layout.session(in: $0, name) })
        where Files.exists(there) {
            return try PresentSession(head, try catalogue.session(at: there), catalogue)
        }
        guard head.offset == 0 || isResuming else {
            throw SessionsError.transfer(
                TransferFailure(
                    "the stream goes on with session \(name); receive it with --resume",
                    isDamage: true))
        }
        // Not before there is something in its place.
        if !isResuming { try discardAll(in: base) }
        if let room = lifecycle.room(in: base),
            room.free.bytes < room.reserve.bytes &+ (head.bytes - head.offset)
        {
            throw SessionsError.transfer(
                TransferFailure(
                    "session \(name) takes \(head.bytes - head.offset) more bytes, and \(base) has "
                        + "\(room.free.bytes) free, of which \(room.reserve.bytes) are kept for others "
                        + "(store.reserve in the configuration); make room there",
                    resume: left(in: base, of: name)))
        }
        return try Reception(head, in: base, catalogue)
    }

    /// What was received and is no session yet, where there is something.
    private func left(in base: FilePath, of name: SessionName? = nil) -> ResumePoint? {
        let names = (try? Files.list(Layout.receiving(in: base))) ?? []
        for one in names.compactMap({ SessionName($0) }) where name == nil || one == name {
            if let point = try? Reception.left(one, in: base, piece: piece) { return point }
        }
        return nil
    }

    private func discardAll(in base: FilePath) throws {
        let receiving = Layout.receiving(in: base)
        for name in try Files.list(receiving) {
            try Files.removeDirectory(receiving.appending(name))
        }
    }

    private func failure(_ fault: TransferFault, _ point: ResumePoint?) -> SessionsError {
        let reason =
            switch fault {
            case .cut: "the stream was cut before its end"
            case .stopped: "receiving was stopped"
            case .notAFrame: "it is no stream of `dmsnap send`"
            case .tooLong(let bytes): "the stream is damaged: a part of \(bytes) bytes can't be"
            case .damaged: "the stream is damaged"
            case .failed(let errno): "the stream can't be read: \(errno)"
            }
        let isDamage =
            switch fault {
            case .cut, .stopped, .failed: false
            case .notAFrame, .tooLong, .damaged: true
            }
        return .transfer(TransferFailure(reason, isDamage: isDamage, resume: point))
    }
}
