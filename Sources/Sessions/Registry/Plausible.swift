import Block
import ExceptionStore
import SystemPackage

// What a file of ours may say. JSON that parses can still hold numbers that nobody ever wrote there, and
// sums and products are made of them, names and paths of the texts.

/// Stores and sessions are counted from 0 or 1, one at a time.
private let numbers = 0...Int(Int32.max)

/// The most bytes that a file or device can have (off_t).
private let mostBytes = UInt64(Int64.max)

extension SessionRecord {
    /// Why this can't be a session's; nil if it can.
    package var fault: String? {
        guard version == Self.currentVersion else {
            return "its version is \(version), and this dmsnap knows \(Self.currentVersion)"
        }
        guard numbers.contains(index) else { return "index is not what it should be" }
        guard lastIndex.map({ numbers.contains($0) && $0 >= index }) ?? true else {
            return "lastIndex is not what it should be"
        }
        guard numbers.contains(store) else { return "store is not what it should be" }
        guard size.bytes <= mostBytes else { return "size is not what it should be" }
        guard (try? ChunkSize(chunkSize)) != nil else {
            return "chunkSize is not what it should be"
        }
        guard instant?.isPlausible ?? true else { return "instant is not what it should be" }
        return nil
    }
}

extension GroupInstant {
    /// Whether this can be in a registry or a record.
    fileprivate var isPlausible: Bool { places.allSatisfy { numbers.contains($0.chain.index) } }
}

extension Registry.Document {
    /// Why its groups can't be in a registry; nil if they can.
    var faultOfGroups: String? {
        let members = (groups ?? []).flatMap(\.members)
        let ids = Set(activations.map(\.id))
        return Set(members).count == members.count && ids.isSuperset(of: members)
            && groups?.contains(where: \.members.isEmpty) != true
            && Set((groups ?? []).map(\.name)).count == groups?.count ?? 0
            ? nil : "groups: a device or a name is not what it should be"
    }
}

extension PendingActivation {
    /// Why this can't be in a registry; nil if it can.
    var fault: String? {
        guard path.path.isAbsolute, directory?.path.isAbsolute != false else {
            return "pending: a path is not what it should be"
        }
        guard chunkSize.map({ (try? ChunkSize($0)) != nil }) ?? true else {
            return "pending: chunkSize is not what it should be"
        }
        guard keep.map(RestorePolicy.keeps.contains) ?? true else {
            return "pending: keep is not what it should be"
        }
        return nil
    }
}

extension RestorePolicy {
    /// Whether this can be in a registry.
    fileprivate var isPlausible: Bool {
        at != .never && numbers.contains(base.index) && RestorePolicy.keeps.contains(keep)
            && numbers.contains(differences)
            && roundTrips.allSatisfy {
                numbers.contains($0.lowerBound) && numbers.contains($0.upperBound)
            }
    }
}

extension Activation {
    /// Why this can't be in a registry; nil if it can.
    package var fault: String? {
        // It is in the names of locks, directories and devices.
        let isName =
            !id.isEmpty
            && id.utf8.allSatisfy { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || byte == UInt8(ascii: "-")
                    || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
            }
        guard isName, id.utf8.count <= 64 else { return "id is not what it should be" }
        guard !name.text.isEmpty, !name.text.contains("/") else {
            return "name is not what it should be"
        }
        var stores = [store]
        switch state {
        case .exchanging(_, let next), .discarding(_, let next): stores.append(next)
        case .activating, .armed, .open, .merging, .deactivating, .overlay, .uncovering: break
        }
        let isOverlay =
            if case .activating = state { restoreAt != nil } else { state.overlay != nil }
        guard isOverlay == (restoreAt != nil) else {
            return "\(name): restoreAt is not what it should be"
        }
        guard restorePolicy.map({ !isOverlay && $0.isPlausible }) ?? true else {
            return "\(name): restorePolicy is not what it should be"
        }
        guard stores.allSatisfy({ numbers.contains($0.number) }) else {
            return "\(name): a store's number is not what it should be"
        }
        guard stores.allSatisfy({ $0.instant?.isPlausible ?? true }) else {
            return "\(name): a store's instant is not what it should be"
        }
        guard numbers.contains(chain.index) else {
            return "\(name): chain.index is not what it should be"
        }
        guard size.bytes > 0, size.bytes <= mostBytes else {
            return "\(name): size is not what it should be"
        }
        guard sector >= 512, sector & (sector - 1) == 0 else {
            return "\(name): sector is not what it should be"
        }
        guard (try? ChunkSize(chunkSize)) != nil else {
            return "\(name): chunkSize is not what it should be"
        }
        guard base.path.path.isAbsolute else {
            return "\(name): base.path is not what it should be"
        }
        return nil
    }
}
