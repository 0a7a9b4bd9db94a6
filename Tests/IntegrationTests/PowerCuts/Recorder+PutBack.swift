import Block
import SystemPackage

/// What is done to a device that is put back by itself.
extension Recorder {
    /// - Returns: the stores whose sessions never go.
    func workPutBack() async throws -> Set<StoreKey> {
        try await activate()
        var store = try await armed(after: 0)
        try await archived(mounted(&store))
        let older = Set(try SessionFile.all().map(\.key))
        try await Dmsnap.must(["set", origin.string, "--restore-at", "unmount", "--keep", "1"])
        let base = store
        try await mounted(&store, isHeld: true)
        if isOdd {
            try await eventually("the kernel begins") {
                try activation().state.merge?.isRunning ?? false
            }
            try await mounted(&store, isHeld: true)
        }
        try await isBack(&store, to: base)
        // What a program writes outside a mount is put back, too.
        try await writeOffline(&store)
        try await isBack(&store, to: base)
        // Only a boot puts it back from here on, and there is none but after a cut.
        try await Dmsnap.must(["set", origin.string, "--restore-at", "boot"])
        try await mounted(&store)
        try await mounted(&store)
        try await Dmsnap.must([
            "set", origin.string, "--base", "last", "--restore-at", "unmount", "--keep", "0",
        ])
        let next = store
        try await mounted(&store, isHeld: true)
        try await isBack(&store, to: next)
        try await deactivate()
        return older
    }

    private func isBack(_ store: inout Int, to base: Int) async throws {
        try await eventually("it is put back", within: 60) { try activation().isBack }
        store = try await keepImage()
        let key = try activation().key
        let images = try [base, store].map { number throws in
            let key = StoreKey(activation: key.activation, store: number)
            return try Files.read(
                Recording.image(of: key, in: directory), limit: CutDisk.Slice.origin.size << 20)
        }
        guard images[0] == images[1] else { throw Broken(what: "it is not what it was") }
    }
}
