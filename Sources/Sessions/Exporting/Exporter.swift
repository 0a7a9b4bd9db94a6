public import Block
public import Restore
public import SystemPackage

/// What an export did.
public struct ExportOutcome: Sendable {
    /// The session that began when the device was what the image is.
    public let session: SessionName
    /// The device's size, and the image's.
    public let size: ByteCount
    /// How much of the device was looked at, and written to the image where that was different.
    public let compared, written: ByteCount
    /// Why all of an image was compared that was there already; nil if its changed parts were enough.
    public let doubt: String?
    /// What stood against it and was lifted by the request.
    public let overridden: [String]
    /// What can't be known and has to be true, as ends of a sentence: "it is what it was, if …".
    public let conditions: [String]
}

extension Viewer {
    /// Makes an image of the device as it was when a session's mount found it, or makes an older image of
    /// it this one.
    ///
    /// Of an image that an export of the same chain made only what the sessions between changed is looked
    /// at, forwards or backwards; of one that was changed or cut short since everything is. A new one is
    /// there when it is whole; one that is changed has a note that says so until it is.
    ///
    /// - Parameters:
    ///   - request: the session, another device than its own, and what it goes on in spite of.
    ///   - file: the image. Zeros in a new one are holes.
    /// - Throws: what `view` throws; `unsuitable` of a file that is none of this chain's exports; `busy`
    ///   where it is in use; `interrupted`; `notRestored` where it is not the same in the end.
    public func export(
        _ request: RestoreRequest, to file: FilePath, control: RestoreControl = RestoreControl()
    ) throws(SessionsError) -> ExportOutcome {
        let session = try catalogue.session(named: request.session)
        return try asSessionsError {
            // Of a bare name the directory is the present one.
            let directory = try Files.resolve(FilePath(".").pushing(file.removingLastComponent()))
            let image = directory.appending(try name(of: file))
            let lockFile = ExportNote.path(beside: image).appendingSuffix(".lock")
            guard let lock = try FileLock.takeIfFree(lockFile) else {
                throw SessionsError.busy(
                    device: image.string, reason: "another export writes to it",
                    advice: "wait for its end")
            }
            // What is there is looked at, and written to, by nobody else meanwhile.
            return try lock.holding {
                defer { try? Files.remove(lockFile) }
                let basis = try basis(image, session)
                let view = try self.view(request)
                return try using(view, of: session) {
                    try export(session, view, to: image, basis, control)
                }
            }
        }
    }

    private func name(of file: FilePath) throws(SessionsError) -> FilePath.Component {
        guard let name = file.lastComponent, name.kind == .regular else {
            throw .unsuitable(device: file.string, reason: "it is no name for a file")
        }
        return name
    }

    /// What is there.
    private func basis(_ image: FilePath, _ session: Session) throws -> ExportBasis {
        guard Files.exists(image) else { return .nothing }
        let entry = try FileTree.Entry(image)
        guard entry.kind == .file else {
            throw SessionsError.unsuitable(
                device: image.string,
                reason: "it is a \(entry.kind.rawValue), and an image is written to a file")
        }
        let loop = try stack.settledHolders(of: image).first
        if let use = try loop.map({ "it is attached to \($0)" }) ?? kernel.use(ofImage: image) {
            throw SessionsError.busy(
                device: image.string, reason: use, advice: "end that, then export")
        }
        guard
            let basis = ExportBasis(
                ExportNote.read(beside: image), image: FileStamp(entry),
                chain: session.record.chain, size: session.record.size)
        else {
            throw SessionsError.unsuitable(
                device: image.string,
                reason: "it is there already, and no image that a session of "
                    + "\(session.record.device) was exported to; remove it, or name another file")
        }
        return basis
    }

    private func export(
        _ session: Session, _ view: View, to image: FilePath, _ basis: ExportBasis,
        _ control: RestoreControl
    ) throws -> ExportOutcome {
        let size = session.record.size
        var note = ExportNote(chain: session.record.chain, size: size)
        let whole = [0..<size.bytes]
        let ranges: [Range<UInt64>]
        var doubt: String?
        switch basis {
        case .nothing: ranges = whole
        case .unknown(let why): (ranges, doubt) = (whole, why)
        case .session(let old):
            do {
                ranges = try changes(between: old, and: session)
            } catch {
                (ranges, doubt) = (whole, "what changed since isn't known: \(error)")
            }
        }
        let device = try OwnedDescriptor.open(view.device, .readOnly)
        let writer = ImageWriter(ranges: ranges, control: control)
        let written: UInt64
        if case .nothing = basis {
            let partial = image.appendingSuffix(".partial")
            if Files.exists(partial) { try Files.remove(partial) }
            do {
                let made = try OwnedDescriptor.create(partial)
                try made.resize(to: size)
                written = try fill(made, from: device, writer, session, view)
                try Files.renameNew(partial, to: image)
                try Files.synchronizeDirectory(image.removingLastComponent())
            } catch {
                try? Files.remove(partial)
                throw error
            }
        } else {
            try note.write(beside: image)
            let made = try OwnedDescriptor.open(image, .readWrite)
            try made.resize(to: size)
            written = try fill(made, from: device, writer, session, view)
        }
        note.session = session.record.name
        note.image = FileStamp(try FileTree.Entry(image))
        try note.write(beside: image)
        return ExportOutcome(
            session: session.record.name, size: size,
            compared: ByteCount(ranges.reduce(0) { $0 + UInt64($1.count) }),
            written: ByteCount(written), doubt: doubt, overridden: view.overridden,
            conditions: view.conditions)
    }

    /// What changed between the beginnings of two sessions, whichever is the earlier.
    private func changes(
        between old: SessionName, and session: Session
    ) throws -> [Range<UInt64>] {
        if old == session.record.name { return [] }
        let members = try catalogue.lineage(of: session).chain.members
        guard let one = members.firstIndex(where: { $0.name == old }),
            let other = members.firstIndex(where: { $0.name == session.record.name })
        else { throw SessionsError.noSuchSession(old.text) }
        let changes = try changes(
            of: members[max(one, other) - 1].name.text, since: members[min(one, other)].name.text)
        return changes.ranges.map { $0.offset..<$0.offset + $0.length }
    }

    private func fill(
        _ image: borrowing OwnedDescriptor, from device: borrowing OwnedDescriptor,
        _ writer: ImageWriter, _ session: Session, _ view: View
    ) throws -> UInt64 {
        let written: UInt64
        let difference: UInt64?
        do {
            written = try writer.bring(image, to: device)
            try image.synchronize()
            difference = try writer.difference(of: image, from: device)
        } catch is CancellationError {
            throw SessionsError.interrupted(
                session: session.record.name.text, device: image.path.string,
                detail: "the image is not whole", advice: "the same command writes it")
        }
        func refuse(_ detail: String) -> SessionsError {
            .notRestored(
                device: image.path.string, session: session.record.name.text, detail: detail)
        }
        if let difference {
            throw refuse("what was written and read back differs at byte \(difference)")
        }
        // What was not looked at now is held against what was recorded when the session began.
        if view.overridden.isEmpty,
            case .differs(let extents) = try restorer.proof(of: image.path, session)
        {
            throw refuse(
                "it differs from what was recorded when that mount's store was armed"
                    + (extents.first.map { ", at byte \($0.offset) for instance" } ?? ""))
        }
        return written
    }
}
