import Block
import FoundationEssentials
import SystemPackage

/// A file in a session's directory that says: a restore of this session to that device has begun to
/// write and not ended. The device is then neither what it was nor what it shall be; the same restore
/// may go on, if nothing else has written to it since.
struct RestoreMarker {
    struct Document: Codable {
        /// The device's path then, and what it was: by that it is known again.
        let device: ByteText
        let file: FileIdentity?
        let hardware: [String]
        let size: ByteCount
        /// What it looked like when the restore was stopped, and how much had been written; nil where it
        /// was killed.
        var left: Fingerprint?
        var bytesWritten: UInt64?

        /// Whether the restore was to this device.
        func names(_ path: FilePath, _ kernel: any Kernel) throws -> Bool {
            let now = try Document(path, kernel)
            return now.device == device && now.file == file && now.hardware == hardware
                && now.size == size
        }

        init(_ path: FilePath, _ kernel: any Kernel) throws {
            device = ByteText(path)
            let status = try kernel.status(path)
            if status.kind == .blockDevice {
                let block = try kernel.blockDevice(path)
                file = nil
                hardware = block.hardwareIdentity
                size = block.size
            } else {
                file = FileIdentity(status)
                hardware = []
                size = status.size
            }
        }

        /// Whether a device that looks like this `now` can be as the restore left it.
        ///
        /// Where it was stopped that is known. Where it was killed each place is as it was before the
        /// restore or as it shall be; a file system that was mounted since has left something else in
        /// one of them.
        ///
        /// - Parameter pieces: how many chunks the restore writes in a range. More than one may be
        ///   partly written, and then the range is neither the one nor the other.
        func isAsLeft(
            _ now: Fingerprint, from end: Fingerprint, towards baseline: Fingerprint,
            pieces: (Range<UInt64>) -> Int
        ) -> Bool {
            if let left { return now.agrees(with: left) }
            guard now.size == end.size, now.size == baseline.size else { return false }
            let old = now.differences(from: end)
            let new = Set(now.differences(from: baseline))
            return !old.contains { new.contains($0) && pieces($0) <= 1 }
        }
    }

    private let path: FilePath

    init(of session: Session) {
        path = Layout.restoring(in: session.directory)
    }

    /// What it says; nil if there is none, or one that says nothing.
    var document: Document? {
        guard Files.exists(path) else { return nil }
        return try? JSON.decode(Document.self, from: path)
    }

    /// The first write is about to come.
    func begin(_ device: FilePath, _ kernel: any Kernel) throws {
        try write(Document(device, kernel))
    }

    /// It was stopped after its first write.
    func stop(_ device: FilePath, _ kernel: any Kernel, written: UInt64) throws {
        var document = try Document(device, kernel)
        document.left = try kernel.look(device, image: device)
        document.bytesWritten = written
        try write(document)
    }

    func remove() throws {
        if Files.exists(path) { try Files.remove(path) }
    }

    private func write(_ document: Document) throws {
        try Files.replace(path, with: JSON.encode(document))
    }
}
