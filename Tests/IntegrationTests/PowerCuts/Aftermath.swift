import Block
import FoundationEssentials
import StoreTesting
import SystemPackage
import WriteLog

/// A boot after a power cut: what is put together then, and whether everything that was kept can be
/// restored.
struct Aftermath {
    let recording: Recording
    let cut: PowerCut
    /// Sessions that were restored, devices that were put back, and overlays that showed what they had, byte for byte.
    private(set) var restored = 0
    /// What should have been there and wasn't, or wasn't restored, or not to what it says.
    private(set) var lost = 0
    /// What was wrong, one line each.
    private(set) var problems: [String] = []

    init(_ recording: Recording, _ cut: PowerCut) {
        self.recording = recording
        self.cut = cut
    }

    /// - Parameter image: the whole disk's bytes after the cut.
    mutating func run(_ image: [UInt8]) async throws {
        try CutDisk.write(image)
        try await CutDisk.mount(mayRepair: cut.inFlight == .torn)
        let before = Array(image[CutDisk.Slice.origin.range])
        let known = try RegistryFile.activation()
        let output = try await Dmsnap.call(["assemble"])
        if output.status != 0 || !output.err.isEmpty {
            problem("assemble ended with \(output.status): \(output.err)\(output.out)")
        }
        switch recording.truth.use {
        case .captured, .putBack: try await judgeSessions(before, known)
        case .overlaid: try await judgeOverlay(before)
        }
        try judgeRest()
    }

    mutating func problem(_ text: String) {
        problems.append("\(cut): \(text)")
    }

    mutating func lose(_ text: String) {
        lost += 1
        problem(text)
    }

    mutating func countExact() { restored += 1 }

    /// Nothing is left suspended, and no store is left that is nobody's.
    private mutating func judgeRest() throws {
        let suspended = CutDisk.suspended()
        if !suspended.isEmpty { problem("left suspended: \(suspended)") }
        let activation = try RegistryFile.activation()
        let names = (try? Files.list(CutDisk.sessions.appending(".armed"))) ?? []
        let wanted = activation.map { [$0.key.description] } ?? []
        if names != wanted { problem("armed stores: \(names) instead of \(wanted)") }
        let merging = (try? Files.list(CutDisk.sessions.appending(".merging"))) ?? []
        if !merging.isEmpty { problem("stores of online restores are left: \(merging)") }
    }
}
