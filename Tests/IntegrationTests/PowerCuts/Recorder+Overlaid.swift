import Block
import SystemPackage

/// What is done to a device under an overlay.
extension Recorder {
    func workOverlaid() async throws {
        try keep(origin, as: Recording.shown(0, in: directory))
        try await mark(device: 0, shows: [0])
        try await activate(["--mode", "overlay", "--restore-at", isOdd ? "boot" : "never"])
        try await writtenOver(0, as: 1)
        try await writtenOver(0, as: 2)
        try await mark(device: nil, shows: isOdd ? [2, 0] : [2])
        try await Dmsnap.must(["commit", origin.string])
        try await mark(device: 2, shows: [2])
        try await writtenOver(2, as: 3)
        try await mark(device: 2, shows: [3, 2])
        try await Dmsnap.must(["discard", origin.string])
        try await mark(device: 2, shows: [2])
        try await deactivate()
    }

    /// - Parameters:
    ///   - device: what is on the device, as the number of what was shown once; nil for neither the one nor the
    ///     other.
    ///   - shown: what may be shown after a boot; nothing for what nobody knows.
    private func mark(device: Int?, shows shown: [Int]) async throws {
        let over = Recording.Over(device: device, shown: shown)
        try await CutDisk.mark(Recording.Mark.over(over).description)
    }

    /// Mounts it, writes, unmounts it, and keeps what it shows then as this number, which is durable.
    private func writtenOver(_ device: Int, as number: Int) async throws {
        let origin = try activation().origin
        try await mark(device: device, shows: isOdd ? [device] : [])
        try await sh("mount \(origin) \(CutDisk.mountPoint)")
        try await write(number)
        try await sh("umount \(CutDisk.mountPoint); sync \(origin)")
        try keep(origin, as: Recording.shown(number, in: directory))
        try await mark(device: device, shows: [isOdd ? device : number])
    }
}
