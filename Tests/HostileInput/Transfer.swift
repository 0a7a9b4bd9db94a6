import Block
import SessionArchive
import Sessions
import SystemPackage

/// Whatever the bytes are: no trap, as a stream and as what a stream says of a session. A frame that is
/// given is one that can be sent; and of a head that is taken for one every piece has a length that a
/// frame can have, and the name can be shown and be a directory's.
enum TransferReading {
    private static let scratch = ScratchFile("transfer")

    static func check(_ bytes: [UInt8]) {
        scratch.fill(bytes)
        try? scratch.read { descriptor in
            var input = TransferInput(descriptor)
            while let frame = try input.next() {
                precondition(frame.payload.count <= min(bytes.count, TransferFrame.mostBytes))
            }
        }
        guard let head = try? JSON.decode(TransferHead.self, bytes: bytes), head.fault == nil else {
            return
        }
        let name = head.record.name.text
        precondition(!name.contains("/") && !name.hasPrefix(".") && name.utf8.count < 256)
        precondition(!name.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f })
        precondition(head.record.asReceived.isReceived && head.offset <= head.bytes)
        for offset in [head.offset, 0] where offset < head.bytes {
            precondition(1...TransferFrame.mostBytes ~= head.pieceBytes(at: offset))
        }
    }
}
