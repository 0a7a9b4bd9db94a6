import Block
import SystemPackage

/// What lies beside an image that a session was exported to: which state of which device it holds.
///
/// It saves work and proves nothing. Where it doesn't fit the image everything is compared, and what the
/// image holds in the end is held against the session in either case.
struct ExportNote: Codable {
    /// The form of this note; one that isn't known is taken for none.
    static let currentVersion = 1

    var version = Self.currentVersion
    /// The chain whose states the image has.
    let chain: String
    /// The device's size.
    let size: ByteCount
    /// The session that began when the device was what the image is; nil while it is written to.
    var session: SessionName?
    /// The image then.
    var image: FileStamp?

    /// Where it is.
    static func path(beside image: FilePath) -> FilePath {
        image.appendingSuffix(".dmsnap")
    }

    /// What it says; nil if there is none, or one that says nothing.
    static func read(beside image: FilePath) -> ExportNote? {
        let path = path(beside: image)
        guard Files.exists(path), let note = try? JSON.decode(ExportNote.self, from: path),
            note.version == currentVersion
        else { return nil }
        return note
    }

    func write(beside image: FilePath) throws {
        try Files.replace(Self.path(beside: image), with: JSON.encode(self))
    }
}

/// What an export starts from.
enum ExportBasis: Equatable {
    /// There is no such file yet.
    case nothing
    /// The image is what the device was when this session began.
    case session(SessionName)
    /// It was once, and nobody knows what it is now: why.
    case unknown(String)

    /// - Parameters:
    ///   - note: what lies beside the image.
    ///   - image: the image now; nil if there is none.
    /// - Returns: nil of an image that is no export of this chain's.
    init?(_ note: ExportNote?, image: FileStamp?, chain: String, size: ByteCount) {
        guard let image else {
            self = .nothing
            return
        }
        guard let note, note.chain == chain, note.size == size else { return nil }
        guard let session = note.session, let noted = note.image else {
            self = .unknown("writing it was cut short")
            return
        }
        if noted != image {
            self = .unknown("it was changed or copied since")
        } else if !noted.isExact {
            // To the second, or to two: a change right after the export would not be seen.
            self = .unknown("its file system doesn't keep exact times")
        } else {
            self = .session(session)
        }
    }
}

extension FileStamp {
    init(_ entry: FileTree.Entry) {
        self.init(
            inode: entry.inode, size: entry.size, modified: entry.modified, changed: entry.changed)
    }
}
