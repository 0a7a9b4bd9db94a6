import Block
import SystemPackage

/// A file in a session's directory that says: a restore of this session to that device has begun to
/// write and not ended. The device is then neither what it was nor what it shall be, and its
/// fingerprint says nothing; the same restore may go on.
struct RestoreMarker {
    private struct Document: Codable {
        let device: String
    }

    private let path: FilePath

    init(of session: Session) {
        path =
            session.archive.map { Layout.restoring(archive: $0) }
            ?? Layout.restoring(in: session.directory)
    }

    /// Whether a restore, to whatever device, has not ended.
    var exists: Bool { Files.exists(path) }

    /// Whether a restore to this device was cut short.
    func names(_ device: FilePath) -> Bool {
        guard Files.exists(path), let document = try? JSON.decode(Document.self, from: path) else {
            return false
        }
        return document.device == device.string
    }

    func write(_ device: FilePath) throws {
        try Files.replace(path, with: JSON.encode(Document(device: device.string)))
    }

    func remove() throws {
        if Files.exists(path) { try Files.remove(path) }
    }
}
