import Block
import FoundationEssentials

/// The registry's first form: an activation's state in many fields beside each other.
struct RegistryVersion1: Decodable {
    static let version = 1

    struct Entry: Decodable {
        enum Phase: String, Decodable {
            case activating, active, deactivating
        }

        struct Merge: Decodable {
            let session: SessionName
            let startedAt: Date
            let chunks: UInt64
            let chunkSize: ByteCount
            let contents: Contents
            let isRunning: Bool
        }

        let id: String
        let name: ByteText
        let sessionPrefix: ByteText
        let kind: Activation.Kind
        let path: ByteText
        let identity: SourceIdentity
        let size: ByteCount
        let sector: UInt32
        let chunkSize: ByteCount
        let baseDirectory: ByteText
        let chain: String
        let nextIndex: Int
        let store: Int
        let session: SessionName?
        let nextStore: Int?
        let nextBaseline: Fingerprint?
        let baseline: Fingerprint
        let phase: Phase
        let broken: String?
        let isBrokenInside: Bool
        let isInvalid: Bool
        let merge: Merge?
        let restored: RestoreTrace?

        var activation: Activation {
            Activation(
                id: id, name: name, sessionPrefix: sessionPrefix, kind: kind, path: path,
                identity: identity, size: size, sector: sector, chunkSize: chunkSize,
                // Which file system it was on nobody wrote down.
                base: BaseDirectory(path: baseDirectory, fileSystemUUID: nil, isKnown: false),
                chain: ChainPlace(id: chain, index: nextIndex), state: state)
        }

        private var state: State {
            var present = Store(number: store, baseline: baseline)
            if isInvalid { present.invalidate("its store has missed writes") }
            present.breach = broken.map {
                Breach(what: $0, place: isBrokenInside ? .inside : .before)
            }
            present.undoes = restored
            let capture = Capture(store: present, session: session)
            switch phase {
            case .activating: return .activating(present)
            case .deactivating: return .deactivating(capture)
            case .active:
                if let nextStore {
                    return .exchanging(
                        capture, next: Store(number: nextStore, baseline: nextBaseline ?? baseline))
                }
                if let merge {
                    return .merging(
                        capture,
                        OnlineMerge(
                            session: merge.session, startedAt: merge.startedAt,
                            chunks: merge.chunks, chunkSize: merge.chunkSize,
                            contents: merge.contents, isRunning: merge.isRunning))
                }
                return .capturing(capture)
            }
        }
    }

    let activations: [Entry]
    let baseDirectories: [ByteText]

    var document: Registry.Document {
        Registry.Document(
            activations: activations.map(\.activation), baseDirectories: baseDirectories)
    }
}
