import Block
import DeviceMapper
import StoreTesting
import SystemPackage

/// A write to a raw device that no flush came after.
struct UnflushedWrite {
    let device: DeviceNumber
    /// In bytes.
    let offset: Int
    let old: [UInt8]
    let new: [UInt8]
}

/// What disks do when the power goes: each write since the last flush is there, or not.
extension SimulatedKernel {
    func flush(_ device: DeviceNumber) {
        unflushed.removeAll { $0.device == device }
    }

    /// What was written through an origin is durable from here on, as fsync(2) makes it.
    package func synchronize(mapped name: String) {
        if let number = source(of: mapped[name]?.live) { flush(number) }
    }

    /// The power goes, and some of the writes that no flush came after are lost; then the machine boots.
    ///
    /// - Parameter seed: chooses which.
    package func powerCut(seed: UInt64) throws {
        absorb()
        var generator = SeededGenerator(seed: seed)
        for lost in unflushed.reversed() { try write(lost.old, of: lost) }
        for kept in unflushed where Bool.random(using: &generator) {
            try write(kept.new, of: kept)
        }
        reboot()
    }

    private func write(_ bytes: [UInt8], of write: UnflushedWrite) throws {
        try Steps.elsewhere {
            _ = try backing(of: write.device, "").0
                .writeAll(toAbsoluteOffset: Int64(write.offset), bytes)
        }
    }

    /// What a snapshot that begins to capture will go back to.
    func keepBeginning(of table: Target, _ uuid: String) throws {
        guard keepsBeginnings, let number = source(of: table) else { return }
        beginnings[uuid] = try Steps.elsewhere { try allBytes(of: backing(of: number, "").0) }
    }
}
