import Block
import SystemPackage

/// The registry of activated devices: one JSON file, changed under a lock and replaced as a whole.
///
/// Nothing that waits for udev or for a device happens under the lock: the udev rule's own process
/// wants it.
struct Registry: Sendable {
    struct Document: Codable, Equatable {
        static let currentVersion = 1
        var version = currentVersion
        var activations: [Activation] = []
        /// Every base directory that ever was used, so that its sessions are found again.
        var baseDirectories: [String] = []

        subscript(id id: String) -> Activation? {
            get { activations.first { $0.id == id } }
            set {
                guard let index = activations.firstIndex(where: { $0.id == id }) else {
                    if let newValue { activations.append(newValue) }
                    return
                }
                if let newValue {
                    activations[index] = newValue
                } else {
                    activations.remove(at: index)
                }
            }
        }
    }

    let layout: Layout
    /// Whether it is this user's to read and change; to others nothing is activated.
    var isForRoot = true

    /// As it is now, without the lock: the file is whole at any instant.
    func read() throws(SessionsError) -> Document {
        guard isForRoot, Files.exists(layout.registry) else { return Document() }
        let document = try JSON.decode(Document.self, from: layout.registry)
        guard document.version == Document.currentVersion else {
            throw .damagedRecord(
                path: layout.registry.string,
                reason: "its version is \(document.version), and this dmsnap knows "
                    + "\(Document.currentVersion)")
        }
        return document
    }

    /// Changes the registry under its lock; what `body` throws leaves it as it was.
    func update<Result>(
        _ body: (inout Document) throws(SessionsError) -> Result
    ) throws(SessionsError) -> Result {
        guard isForRoot else { throw .notRoot("change what is activated") }
        return try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            try Files.makeDirectory(layout.stateDirectory)
            return try FileLock.holding(layout.registryLock) {
                var document = try read()
                let before = document
                let result = try body(&document)
                // Untouched, it isn't written: the monitor wakes at every new registry.
                if document != before {
                    try Files.replace(layout.registry, with: JSON.encode(document))
                }
                return result
            }
        }
    }
}
