import Block
import SessionArchive

/// What a frame of a stream of sessions is (docs/transfer-format.md).
enum TransferMessage: UInt32 {
    /// A session begins: a `TransferHead` as JSON.
    case head = 1
    /// The next bytes of its archive: as many as the head says, the archive's last ones fewer.
    case data = 2
    /// All of its archive was sent. No payload.
    case end = 3
    /// The stream ends. No payload.
    case finish = 4

    func frame(_ payload: [UInt8] = []) -> TransferFrame {
        TransferFrame(kind: rawValue, payload: payload)
    }
}

/// What a stream says of a session before its archive's bytes.
package struct TransferHead: Codable {
    static let currentVersion = 1

    var version = Self.currentVersion
    /// The session's record.
    package let record: SessionRecord
    /// The bytes of its archive.
    package let bytes: UInt64
    /// How many bytes each piece of it has but the last one.
    let piece: Int
    /// Where in the archive the bytes that follow begin: 0, or where an earlier stream was cut.
    package let offset: UInt64
    /// The checksum of those before, in hexadecimal digits: the XXH3 of each piece, seeded by that of
    /// the one before.
    let prefix: String

    init(_ record: SessionRecord, bytes: UInt64, piece: Int, from point: ResumePoint?) {
        self.record = record
        self.bytes = bytes
        self.piece = piece
        offset = point?.offset ?? 0
        prefix = String(point?.checksum ?? 0, radix: 16)
    }

    /// Why this can't be a session's; nil if it can. It comes from somebody else.
    package var fault: String? {
        guard version == Self.currentVersion else {
            return "it has version \(version), and this dmsnap knows \(Self.currentVersion)"
        }
        if let fault = record.fault { return "a session's record is damaged: \(fault)" }
        guard ByteText(TerminalText.escape(record.name.text)) == record.name.bytes else {
            return "a session's name has control characters in it"
        }
        for id in [record.madeBy, record.chain] {
            let isPlain = id.utf8.allSatisfy { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || byte == UInt8(ascii: "-")
                    || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                    || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
            }
            guard isPlain, !id.isEmpty, id.utf8.count <= 80 else {
                return "a session's record is damaged: an id is not what it should be"
            }
        }
        guard record.state == .archived else { return "a session in it has no archive" }
        guard 1...TransferFrame.mostBytes ~= piece, bytes > 0, bytes <= UInt64(Int64.max),
            offset <= bytes, offset == bytes || offset.isMultiple(of: UInt64(piece))
        else { return "a length in it can't be" }
        return nil
    }

    /// How many bytes the frame of data has that begins at an offset.
    package func pieceBytes(at offset: UInt64) -> Int {
        Int(min(UInt64(piece), bytes - offset))
    }
}

/// Sessions of other machines.
///
/// They lie among this machine's own, and are listed, restored with `--device` and deleted as those. The
/// chain and the activation that their records name are never one of this machine's: what stands in
/// a record is somebody's word.
extension SessionRecord {
    private static let mark = "received-"

    /// Whether the session was made by another machine, or by this one and was sent to it again.
    public var isReceived: Bool { activation.hasPrefix(Self.mark) }

    /// The activation as the machine has it that made the session, and wrote it into the archive.
    var madeBy: String {
        isReceived ? String(activation.dropFirst(Self.mark.count)) : activation
    }

    /// The record as the machine keeps it that has received the session.
    package var asReceived: SessionRecord {
        var record = self
        if !isReceived {
            record.activation = Self.mark + activation
            record.chain = Self.mark + chain
        }
        // How long it stays is for this machine to say.
        record.pinned = nil
        return record
    }
}
