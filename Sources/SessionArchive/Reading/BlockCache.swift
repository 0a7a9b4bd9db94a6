internal import Block

/// The contents of the blocks that were needed last.
///
/// A block that several threads want at once is loaded by one of them; the others wait.
final class BlockCache: Sendable {
    private enum Entry {
        case loading
        case loaded([UInt8], lastUse: UInt64)
    }

    private struct State {
        var entries: [Int: Entry] = [:]
        var uses: UInt64 = 0
    }

    private let capacity: Int
    private let gate = Gate(State())

    /// - Parameter capacity: How many blocks are kept.
    init(capacity: Int) {
        self.capacity = capacity
    }

    /// A block's contents, loaded by `load` where they aren't here.
    func contents<Failure: Error>(
        of block: Int, load: () throws(Failure) -> [UInt8]
    ) throws(Failure) -> [UInt8] {
        let found = gate.wait { state -> [UInt8]?? in
            switch state.entries[block] {
            case .loading: return nil
            case .loaded(let contents, _):
                state.uses += 1
                state.entries[block] = .loaded(contents, lastUse: state.uses)
                return .some(contents)
            case nil:
                state.entries[block] = .loading
                return .some(nil)
            }
        }
        if let found { return found }
        do {
            let contents = try load()
            gate.change { keep(contents, as: block, in: &$0) }
            return contents
        } catch {
            gate.change { $0.entries[block] = nil }
            throw error
        }
    }

    private func keep(_ contents: [UInt8], as block: Int, in state: inout State) {
        state.uses += 1
        state.entries[block] = .loaded(contents, lastUse: state.uses)
        while state.entries.count > capacity, let oldest = oldest(in: state) {
            state.entries[oldest] = nil
        }
    }

    private func oldest(in state: State) -> Int? {
        var oldest: (block: Int, use: UInt64)?
        for (block, entry) in state.entries {
            guard case .loaded(_, let use) = entry else { continue }
            if oldest.map({ use < $0.use }) ?? true { oldest = (block, use) }
        }
        return oldest?.block
    }
}
