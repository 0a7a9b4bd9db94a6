import Block
import SystemPackage

/// New sessions: their records, and the rename that gives a store a session's name.
extension Catalogue {
    /// A record of a session that begins now.
    func newRecord(
        _ activation: Activation, name: SessionName, kind: SessionRecord.Kind
    ) -> SessionRecord {
        let store = activation.store
        var record = SessionRecord(
            name: name, kind: kind, state: store.loss == nil ? .open : .invalid,
            device: activation.path, deviceName: activation.name, deviceKind: activation.kind,
            identity: activation.identity, size: activation.size, activation: activation.id,
            store: store.number, chain: activation.chain.id, index: activation.chain.index,
            chunkSize: activation.chunkSize, openedAt: now(), baseline: store.baseline)
        record.loss = store.loss
        record.instant = store.instant
        return record
    }

    /// Gives an armed store's directory a session's name: the record goes in first, then one rename
    /// makes the session appear whole.
    func name(
        _ armed: FilePath, in activation: Activation,
        record: (SessionName) throws(SessionsError) -> SessionRecord
    ) throws(SessionsError) -> Session {
        try asSessionsError {
            let time = now()
            let base = activation.base.path.path
            for attempt in 1...1000 {
                let name = SessionName(
                    prefix: activation.sessionPrefix, time: time, attempt: attempt)
                let directory = Layout.session(in: base, name)
                if Files.exists(directory) { continue }
                let record = try record(name)
                try write(record, in: armed)
                do throws(SystemError) {
                    try Files.renameNew(armed, to: directory)
                } catch {
                    if error.errno == .fileExists { continue }
                    throw error
                }
                try Files.synchronizeDirectory(base)
                return Session(directory: directory, record: record)
            }
            throw SessionsError.unsuitable(
                device: base.string,
                reason: "a thousand sessions of \(activation.name) have this second's name")
        }
    }
}
