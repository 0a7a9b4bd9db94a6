import Block
import Synchronization
package import SystemPackage

/// The registry of activated devices: one JSON file, changed under a lock and replaced as a whole.
///
/// Nothing that waits for udev or for a device happens under the lock: the udev rule's own process
/// wants it.
package struct Registry: Sendable {
    package struct Document: Codable, Equatable {
        static let currentVersion = 2
        var version = currentVersion
        package var activations: [Activation] = []
        /// Every base directory that ever was used, so that its sessions are found again.
        var baseDirectories: [ByteText] = []
        /// The devices that are activated when nobody uses them; nil as none, which earlier ones don't have.
        var pending: [PendingActivation]?
        /// Nil as none, which earlier ones don't have.
        var groups: [DeviceGroup]?

        /// Whether nothing is activated, nor to be.
        var isIdle: Bool { activations.isEmpty && pending?.isEmpty != false }

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

    private struct Form: Decodable {
        let version: Int
    }

    let layout: Layout
    /// Whether it is this user's to read and change; to others nothing is activated.
    var isForRoot = true
    /// Told, once, when a registry of an earlier form has been written anew.
    var notice: @Sendable (String) -> Void = { _ in }

    /// As it is now, without the lock: the file is whole at any instant.
    func read() throws(SessionsError) -> Document {
        guard isForRoot, Files.exists(layout.registry) else { return Document() }
        do {
            // Whoever could put another there would have devices of his choice mapped.
            _ = try TrustedPath.ours(layout.stateDirectory)
        } catch {
            throw .system(error)
        }
        return try readForm().document
    }

    private func readForm() throws(SessionsError) -> (document: Document, isCurrent: Bool) {
        guard isForRoot, Files.exists(layout.registry) else { return (Document(), true) }
        let bytes: [UInt8]
        do {
            bytes = try Files.read(layout.registry)
        } catch {
            throw .system(error)
        }
        return try Self.parse(bytes, of: layout.registry)
    }

    /// A registry's bytes, in this form or an earlier one.
    ///
    /// - Throws: `damagedRecord`.
    package static func parse(
        _ bytes: [UInt8], of path: FilePath
    ) throws(SessionsError) -> (document: Document, isCurrent: Bool) {
        if let known = decoded.withLock({ $0.first { $0.bytes == bytes } }) {
            return (known.document, true)
        }
        let (document, isCurrent) = try decode(bytes, of: path)
        let faults =
            document.activations.lazy.map(\.fault) + (document.pending ?? []).map(\.fault)
            + [document.faultOfGroups]
        for case let fault? in faults { throw .damagedRecord(path: path.string, reason: fault) }
        if isCurrent {
            decoded.withLock { known in
                known.insert((bytes, document), at: 0)
                if known.count > 4 { known.removeLast() }
            }
        }
        return (document, isCurrent)
    }

    /// What was decoded last, the newest first. A verb reads the registry some ten times and changes it twice, and the
    /// monitor after every event; to decode it is most of what that takes.
    private static let decoded = Mutex<[(bytes: [UInt8], document: Document)]>([])

    private static func decode(
        _ bytes: [UInt8], of path: FilePath
    ) throws(SessionsError) -> (document: Document, isCurrent: Bool) {
        // Read after every event: what is nearly always so is tried first.
        let current = Swift.Result { () throws(SessionsError) in
            try JSON.decode(Document.self, bytes: bytes, of: path)
        }
        if case .success(let document) = current, document.version == Document.currentVersion {
            return (document, true)
        }
        switch try JSON.decode(Form.self, bytes: bytes, of: path).version {
        case Document.currentVersion: return (try current.get(), true)
        case RegistryVersion1.version:
            let first = try JSON.decode(RegistryVersion1.self, bytes: bytes, of: path)
            return (first.document, false)
        case let version:
            throw .damagedRecord(
                path: path.string,
                reason: "its version is \(version), and this dmsnap knows "
                    + "\(RegistryVersion1.version) and \(Document.currentVersion)")
        }
    }

    /// Changes the registry under its lock; what `body` throws leaves it as it was.
    func update<Result>(
        _ body: (inout Document) throws(SessionsError) -> Result
    ) throws(SessionsError) -> Result {
        guard isForRoot else { throw .notRoot("change what is activated") }
        return try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            try Files.makeDirectory(layout.stateDirectory)
            return try holding(layout.registryLock, for: layout.registry.string) {
                let (before, isCurrent) = try readForm()
                var document = before
                let result = try body(&document)
                // Untouched, it isn't written: the monitor wakes at every new registry.
                if document != before || !isCurrent {
                    try write(document)
                }
                if !isCurrent {
                    notice(
                        "\(layout.registry): brought from version \(RegistryVersion1.version) to "
                            + "\(Document.currentVersion); an older dmsnap doesn't read it any more"
                    )
                }
                return result
            }
        }
    }

    private func write(_ document: Document) throws {
        let claimed = ClaimedSizes(directory: layout.claimedSizes)
        let sizes = ClaimedSizes.sizes(in: document)
        try claimed.add(sizes)
        try Files.replace(layout.registry, with: JSON.encode(document))
        claimed.keepOnly(sizes)
    }

    /// Every activation.
    func activations() throws(SessionsError) -> [Activation] {
        try read().activations
    }

    /// The activation of this id as it is now.
    ///
    /// - Throws: `notActivated`.
    func activation(_ id: String) throws(SessionsError) -> Activation {
        guard let activation = try read()[id: id] else { throw .notActivated(id) }
        return activation
    }

    /// Changes one activation, and gives it as it then is.
    @discardableResult
    func change(
        _ id: String, _ body: (inout Activation) throws(SessionsError) -> Void
    ) throws(SessionsError) -> Activation {
        try update { document throws(SessionsError) in
            try Self.change(id, in: &document, body)
        }
    }

    /// Changes several at once: all of them, or none.
    func change(
        all ids: [String], _ body: (inout Activation) throws(SessionsError) -> Void
    ) throws(SessionsError) -> [Activation] {
        try update { document throws(SessionsError) in
            var changed: [Activation] = []
            for id in ids { changed.append(try Self.change(id, in: &document, body)) }
            return changed
        }
    }

    private static func change(
        _ id: String, in document: inout Document,
        _ body: (inout Activation) throws(SessionsError) -> Void
    ) throws(SessionsError) -> Activation {
        guard var activation = document[id: id] else { throw .notActivated(id) }
        try body(&activation)
        document[id: id] = activation
        return activation
    }

    /// Forgets an activation. Its id never comes back, so nobody needs its lock's file.
    func forget(_ id: String) throws(SessionsError) {
        try update { document throws(SessionsError) in
            document[id: id] = nil
            document.leaveGroup(id)
        }
        try? Files.remove(layout.operationLock(id))
    }
}
