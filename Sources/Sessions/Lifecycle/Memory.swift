import Block
import SystemPackage

/// Stores in memory, for devices under an overlay: what is written touches no disk, and is gone after a boot.
///
/// They are files in a tmpfs all the same, and differ in nothing else. The file system of run-time files is the one
/// that is there from the beginning of a boot on, and that the monitor, which may not mount anything, can use.
extension Lifecycle {
    /// The base directory that is asked for; one in memory is made.
    ///
    /// - Throws: `unsuitable` for stores in memory that aren't to be gone after a boot, or where there is no such
    ///   place.
    func baseDirectory(
        for request: ActivationRequest, _ device: String
    ) throws(SessionsError) -> FilePath {
        let directory = baseDirectory(of: request.place)
        guard request.place == .memory else { return directory }
        if let fault = request.contradiction {
            throw .unsuitable(device: device, reason: fault)
        }
        try makeMemory()
        guard try asSessionsError({ try kernel.isInMemory(directory) }) else {
            throw .unsuitable(
                device: device,
                reason:
                    "\(directory) is not in memory on this machine; mount a tmpfs on /run first")
        }
        return directory
    }

    /// Where that is; whether it is there or not.
    func baseDirectory(of place: ActivationRequest.Place) -> FilePath {
        switch place {
        case .configured: configuration.sessionsDirectory
        case .directory(let directory): directory
        case .memory: registry.layout.memory
        }
    }

    /// A boot has taken the directory with all that was in it.
    func remakeMemory(of activation: Activation) throws {
        guard activation.isInMemory == true, !Files.exists(registry.layout.memory) else { return }
        try makeMemory()
    }

    private func makeMemory() throws(SessionsError) {
        try asSessionsError {
            try Files.makeDirectory(registry.layout.runDirectory)
            try Files.makeDirectory(registry.layout.memory)
        }
    }
}
