import Block
import FoundationEssentials
import Sessions
import SystemPackage

/// Whatever the bytes are: no trap; and what is taken for a session's record is written and read
/// back the same, has a name that can be a directory's, and a time that can be shown.
enum RecordReading {
    static func check(_ bytes: [UInt8]) {
        let path = FilePath("session.json")
        guard let record = try? JSON.decode(SessionRecord.self, bytes: bytes, of: path),
            record.fault == nil
        else { return }
        let name = record.name.text
        precondition(!name.isEmpty && !name.contains("/") && !name.hasPrefix("."))
        precondition(name.utf8.count < 256)
        precondition(!record.openedAt.formatted(.iso8601).isEmpty)
        precondition(ByteCount(record.size.bytes).formatted.count < 20)
        if let end = record.end {
            _ = end.agrees(with: record.baseline)
            _ = end.differences(from: record.baseline)
        }
        guard let written = try? JSON.encode(record),
            let again = try? JSON.decode(SessionRecord.self, bytes: written, of: path),
            let rewritten = try? JSON.encode(again)
        else { preconditionFailure("it can't be read again") }
        precondition(again.fault == nil)
        precondition(rewritten == written)
    }
}
