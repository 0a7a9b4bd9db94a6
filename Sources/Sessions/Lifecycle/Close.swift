import Block
import ExceptionStore
import FoundationEssentials
import SystemPackage

/// What became of a store whose table is gone.
public enum StoreOutcome: Sendable {
    /// It is this session's, closed or invalid.
    case session(Session)
    /// It held nothing, and is gone.
    case dropped
}

/// What is known of the end of a store's time, beside what the registry has of the store.
struct Ending {
    /// What the device looks like now; nil if nobody knows.
    var end: Fingerprint?
    /// A crash was the end of it.
    var isInterrupted = false
    /// What can't be known of it, and has to be true.
    var doubt: String?
}

/// The one place where it is decided what became of a store.
extension Lifecycle {
    /// Makes a closed session of the store that is under the origin no more, or an invalid one, or
    /// deletes it if it surely held nothing.
    ///
    /// What the kernel said that it took (`held`) and what the file has must be the same; a store that
    /// isn't there is an empty one only if it had been found empty before. Can be done again after a
    /// crash at any point of it: with the same store it comes to the same outcome.
    func close(_ activation: Activation, _ ending: Ending) throws -> StoreOutcome {
        let place = try place(of: activation)
        try stack.detach(activation.store, in: place.directory)
        let finding = try look(activation, in: place)
        if finding.chunks == 0, !(place.isNamed && configuration.keepsEmptySessions) {
            // A breach that is in no session of its own lies behind the one before.
            if activation.store.breach?.place == .inside {
                try catalogue.forgetEnd(before: activation)
            }
            try writeDown(activation, held: 0)
            try Files.removeDirectory(place.directory)
            return .dropped
        }
        let close = { (record: SessionRecord) in closed(record, activation, finding, ending) }
        if place.isNamed, (try? catalogue.session(at: place.directory)) != nil {
            // It may get a label at this very moment.
            return .session(
                try catalogue.changeRecord(in: place.directory) { $0 = close($0) })
        }
        // A session whose directory is gone is told of by a record in its place.
        try Files.makeDirectory(place.directory)
        if let name = activation.session, place.isNamed {
            let record = close(catalogue.newRecord(activation, name: name, kind: .mount))
            try catalogue.write(record, in: place.directory)
            return .session(Session(directory: place.directory, record: record))
        }
        return .session(
            try catalogue.name(place.directory, in: activation) { name in
                close(catalogue.newRecord(activation, name: name, kind: .offline))
            })
    }

    private struct Place {
        let directory: FilePath
        let isNamed: Bool
    }

    /// Where the store is: under its session's name also where the registry doesn't know that yet.
    private func place(of activation: Activation) throws(SessionsError) -> Place {
        let directory = activation.directory
        if activation.session != nil { return Place(directory: directory, isNamed: true) }
        if !Files.exists(directory),
            let named = try catalogue.session(ofStore: activation.store.number, of: activation)
        {
            return Place(directory: named.directory, isNamed: true)
        }
        return Place(directory: directory, isNamed: false)
    }

    private enum Finding {
        case good(UInt64)
        case bad(String)

        var chunks: UInt64? {
            guard case .good(let chunks) = self else { return nil }
            return chunks
        }
    }

    /// What the store holds, and whether that is what it should hold.
    private func look(_ activation: Activation, in place: Place) throws -> Finding {
        let store = activation.store
        if store.isAbsent, store.held == 0 { return .good(0) }
        if let loss = store.loss { return .bad(loss) }
        let path = Layout.store(in: place.directory)
        let isEmptyFile = try Files.exists(path) && FileStatus(path).size.bytes == 0
        // Nothing was ever in one that has not got its length yet, let alone a table.
        guard Files.exists(path), !isEmptyFile || store.held ?? 0 > 0 else {
            if isEmptyFile || store.held == 0 { return .good(0) }
            // Not made yet.
            if store.file == nil, store.held == nil { return .good(0) }
            return .bad(
                "its store \(path) isn't there"
                    + (store.held.map { ", and the kernel kept \($0) chunks in it" } ?? ""))
        }
        try OwnedDescriptor.open(path, .readOnly).synchronize()
        let found: UInt64
        do {
            let closed = try catalogue.closedStore(
                in: place.directory, originSize: activation.size,
                chunkSize: activation.chunkSize,
                session: place.directory.lastComponent?.string ?? "")
            // One that was made has had its header's place zeroed: a hole there is somebody's.
            guard closed.contents.wasPrepared || store.file == nil else {
                return .bad("its store \(path) was emptied")
            }
            found = UInt64(closed.exceptions.count)
        } catch {
            guard case .damagedStore(_, let reason) = error else { throw error }
            return .bad(reason)
        }
        if let held = store.held, held != found {
            return .bad(
                "the kernel kept \(held) chunks in its store, and \(path) has \(found): it was "
                    + "replaced, or lost writes")
        }
        return .good(found)
    }

    /// What is found is kept before anything is deleted by it.
    private func writeDown(_ activation: Activation, held: UInt64) throws(SessionsError) {
        guard activation.store.held != held else { return }
        try registry.change(activation.id) { current in
            if current.store.number == activation.store.number { current.store.held = held }
        }
    }

    private func closed(
        _ record: SessionRecord, _ activation: Activation, _ finding: Finding, _ ending: Ending
    ) -> SessionRecord {
        var record = record
        switch finding {
        case .good(let chunks):
            record.state = .closed
            record.chunks = chunks
            let whole = chunks.multipliedReportingOverflow(by: activation.chunkSize.bytes)
            record.bytes = min(
                whole.overflow ? activation.size.bytes : whole.partialValue, activation.size.bytes)
        case .bad(let reason):
            record.state = .invalid
            record.loss = record.loss ?? reason
            record.chunks = nil
            record.bytes = nil
        }
        record.closedAt = record.closedAt ?? kernel.now()
        record.instant = activation.store.instant ?? record.instant
        record.end = ending.end ?? record.end
        record.interrupted = record.interrupted || ending.isInterrupted
        record.doubt = record.doubt ?? ending.doubt
        if let breach = activation.store.breach, breach.place == .inside {
            record.broken = breach.what
            record.end = nil
        }
        if let undoes = activation.store.undoes {
            record.restoreOf = undoes.session
            record.continues = undoes.continues
            record.isPartOfRestore = undoes.progress == .begun ? true : nil
        }
        return record
    }
}
