import Block
import SessionArchive
import SystemPackage

/// Where the bytes of an archive go that is being received.
protocol ArchiveSink: AnyObject {
    var head: TransferHead { get }
    /// How many bytes have come, those included that an earlier stream brought.
    var position: UInt64 { get }
    /// From where to go on; nil where nothing is kept.
    var point: ResumePoint? { get }
    func take(_ piece: [UInt8]) throws
    /// All have come.
    func finish(_ control: TransferControl) throws -> Receiver.Outcome
}

/// A session on its way: in a directory that is no session's until all of it is there and was read back.
final class Reception: ArchiveSink {
    let head: TransferHead
    private(set) var position: UInt64
    private var checksum: UInt64 = 0
    private let base: FilePath
    private let directory: FilePath
    private let catalogue: Catalogue
    private let file: OwnedDescriptor

    init(_ head: TransferHead, in base: FilePath, _ catalogue: Catalogue) throws {
        self.head = head
        self.base = base
        self.catalogue = catalogue
        position = head.offset
        directory = Self.directory(of: head.record.name, in: base)
        let path = Layout.archive(in: directory)
        if head.offset == 0 {
            try Files.removeDirectory(directory)
            try Files.makeDirectory(directory)
            file = try OwnedDescriptor.create(path)
            return
        }
        guard Files.exists(path), try FileStatus(path, follow: false).kind == .regular else {
            throw Self.strange(head)
        }
        file = try OwnedDescriptor.open(path, .readWrite)
        guard try file.size().bytes >= head.offset else { throw Self.strange(head) }
        checksum = try Self.checksum(of: file, bytes: head.offset, piece: head.piece)
        guard String(checksum, radix: 16) == head.prefix else { throw Self.strange(head) }
        try file.resize(to: ByteCount(head.offset))
    }

    private static func strange(_ head: TransferHead) -> SessionsError {
        .transfer(
            TransferFailure(
                "the stream goes on with session \(head.record.name) behind what is not here; send it "
                    + "from its beginning, without --from", isDamage: true))
    }

    private static func directory(of name: SessionName, in base: FilePath) -> FilePath {
        Layout.receiving(in: base).appending(name.text)
    }

    /// How far a session has come that is not being received now.
    static func left(
        _ name: SessionName, in base: FilePath, piece: Int
    ) throws -> ResumePoint? {
        let path = Layout.archive(in: directory(of: name, in: base))
        guard Files.exists(path), try FileStatus(path, follow: false).kind == .regular else {
            return nil
        }
        let file = try OwnedDescriptor.open(path, .readOnly)
        let size = try file.size().bytes
        let whole = size - size % UInt64(piece)
        guard whole > 0 else { return nil }
        return ResumePoint(
            name: name, offset: whole,
            checksum: try checksum(of: file, bytes: whole, piece: piece))
    }

    private static func checksum(
        of file: borrowing OwnedDescriptor, bytes: UInt64, piece: Int
    ) throws(SystemError) -> UInt64 {
        var checksum: UInt64 = 0
        var offset: UInt64 = 0
        while offset < bytes {
            let count = Int(min(UInt64(piece), bytes - offset))
            checksum = TransferHash.of(
                try file.read(count: count, at: offset), seed: checksum)
            offset += UInt64(count)
        }
        return checksum
    }

    var point: ResumePoint? {
        guard position > 0 else { return nil }
        return ResumePoint(name: head.record.name, offset: position, checksum: checksum)
    }

    func take(_ piece: [UInt8]) throws {
        try file.write(piece, at: position)
        position += UInt64(piece.count)
        checksum = TransferHash.of(piece, seed: checksum)
    }

    /// Reads everything back, and gives the session its name.
    func finish(_ control: TransferControl) throws -> Receiver.Outcome {
        let name = head.record.name
        try file.synchronize()
        // So that what is read back is what is stored.
        file.forgetCache()
        do {
            try check(control)
        } catch {
            if case .archiveStopped = error as? SessionsError { throw TransferFault.stopped }
            // It is of no use to anybody, however it is gone on with.
            try? Files.removeDirectory(directory)
            throw error
        }
        try catalogue.write(head.record.asReceived, in: directory)
        try Files.renameNew(directory, to: Layout.session(in: base, name))
        try Files.synchronizeDirectory(base)
        return .received(name)
    }

    private func check(_ control: TransferControl) throws {
        let record = head.record
        let reader = try catalogue.archiveReader(
            of: Session(directory: directory, record: record.asReceived))
        let kept = try JSON.decode(SessionRecord.self, bytes: Array(reader.metadata.utf8))
        guard kept.index == record.index, kept.lastIndex == record.lastIndex,
            kept.chunkSize == record.chunkSize, kept.deviceKind == record.deviceKind
        else {
            throw SessionsError.damagedStore(
                session: record.name.text,
                reason: "the record in the stream is not its archive's")
        }
        do {
            let found = try reader.verify(
                options: catalogue.configuration.archiving,
                control: ArchiveControl(isCancelled: control.isCancelled))
            guard found.isWhole else {
                throw SessionsError.damagedStore(
                    session: record.name.text, reason: "its archive arrived damaged")
            }
        } catch let error as ArchiveError {
            switch error {
            case .system(let cause): throw cause
            case .cancelled: throw SessionsError.archiveStopped(session: record.name.text)
            default:
                throw SessionsError.damagedStore(session: record.name.text, reason: "\(error)")
            }
        }
    }
}

/// A session of this name is here: it is only compared.
final class PresentSession: ArchiveSink {
    let head: TransferHead
    private(set) var position: UInt64
    private let file: OwnedDescriptor

    init(_ head: TransferHead, _ session: Session, _ catalogue: Catalogue) throws {
        self.head = head
        position = head.offset
        let path = Layout.archive(in: session.directory)
        guard session.record.madeBy == head.record.madeBy, session.record.state == .archived,
            Files.exists(path)
        else { throw Self.other(head) }
        file = try OwnedDescriptor.open(path, .readOnly)
        guard try file.size().bytes == head.bytes else { throw Self.other(head) }
    }

    private static func other(_ head: TransferHead) -> SessionsError {
        .transfer(
            TransferFailure(
                "another session \(head.record.name) is here, and stays as it is; delete it, or move it "
                    + "away, to receive this one", isDamage: true))
    }

    let point: ResumePoint? = nil

    func take(_ piece: [UInt8]) throws {
        guard try file.read(count: piece.count, at: position) == piece else {
            throw Self.other(head)
        }
        position += UInt64(piece.count)
    }

    func finish(_ control: TransferControl) throws -> Receiver.Outcome {
        .present(head.record.name)
    }
}
