import Block
import ExceptionStore

/// A session merged into the one before it: what stands against that, and what comes of it.
extension Chain {
    /// Why `later` can't be merged into `older`, which is the one before it in what is there of their
    /// chain; nil if it can.
    static func obstacle(
        toMerging later: SessionRecord, into older: SessionRecord
    ) -> String? {
        for record in [older, later] {
            switch record.state {
            case .closed, .archived: break
            case .open: return "session \(record.name) is open"
            case .invalid:
                return "session \(record.name) is invalid, and holds nothing to be merged"
            }
            if let broken = record.broken {
                return "while session \(record.name) was open \(broken)"
            }
        }
        guard later.chain == older.chain, later.index == older.places.upperBound + 1 else {
            return "a session between \(older.name) and \(later.name) is missing"
        }
        guard later.size == older.size else {
            return "session \(older.name) is of a device of another size"
        }
        return nil
    }
}

extension SessionRecord {
    /// What this one becomes when the one after it is merged into it: it begins where this one began, and
    /// ends where that one ended.
    ///
    /// - Parameter union: what both kept, this one's contents first.
    func absorbing(_ later: SessionRecord, _ union: Union) -> SessionRecord {
        var record = covering(later)
        record.state = .archived
        record.closedAt = later.closedAt ?? closedAt
        record.chunkSize = union.chunkSize
        record.chunks = union.chunks
        record.bytes = union.bytes
        return record
    }

    /// What this one becomes when those after it, up to `later`, are none of the chain any more: it ends where
    /// that one ended.
    func covering(_ later: SessionRecord) -> SessionRecord {
        var record = self
        record.lastIndex = later.places.upperBound
        record.end = later.end
        record.interrupted = interrupted || later.interrupted
        if kind == .offline, later.isOfMount { record.kind = .mount }
        if later.unwatchedAfter == true { record.unwatchedAfter = true }
        if let other = later.doubt {
            record.doubt = doubt.map { $0 == other ? $0 : "\($0) and that \(other)" } ?? other
        }
        return record
    }

    /// How much several sessions kept together.
    struct Union {
        let chunkSize: ByteCount
        let chunks: UInt64
        /// Bytes of the device that those are.
        let bytes: UInt64
    }
}
