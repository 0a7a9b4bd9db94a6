public import Block
import ExceptionStore
import Restore

/// Which parts of a device a session changed, or several in a row did.
public struct DeviceChanges: Sendable, Codable {
    /// What was activated: the path then.
    public let device: ByteText
    /// The device's size.
    public let sizeBytes: UInt64
    /// In bytes: what is told is whole chunks of the sessions' smallest.
    public let chunkSize: UInt64
    /// Ascending, with something unchanged between any two.
    public let ranges: [Range]

    /// A range of the device, in bytes.
    public struct Range: Hashable, Sendable, Codable {
        /// Where it begins.
        public let offset: UInt64
        /// How long it is.
        public let length: UInt64
    }
}

extension Viewer {
    /// What changed while a session was open; with `first`, from that one's beginning to this one's end.
    ///
    /// What was written and is the same as before counts as changed.
    ///
    /// - Throws: `busy` of an open session; `unsuitable` where `first` isn't an earlier one of the same
    ///   chain; what stands against restoring through one of them.
    public func changes(
        of name: String, since first: String? = nil
    ) throws(SessionsError) -> DeviceChanges {
        let last = try catalogue.session(named: name)
        let start = try first.map { first throws(SessionsError) in
            try catalogue.session(named: first)
        }
        return try asSessionsError {
            let (chain, sessions) = try catalogue.lineage(of: start ?? last)
            let goal = (start ?? last).record.name
            guard let end = chain.members.firstIndex(where: { $0.name == last.record.name }),
                let route = Chain(Array(chain.members[...end])).route(to: goal)
            else {
                throw SessionsError.unsuitable(
                    device: first ?? name,
                    reason: "it is no earlier session of the chain of \(last.record.name)")
            }
            _ = try restorer.lift(route.obstacles, last, RestoreRequest(session: name))
            let members = route.members.compactMap { sessions[$0] }
            return try changes(RestorePlan(sources: restorer.sources(of: members)), last)
        }
    }

    /// What this one session kept, whatever came before it and after.
    ///
    /// - Throws: `busy` of an open session; what stands against reading it.
    public func ownChanges(of session: Session) throws(SessionsError) -> DeviceChanges {
        try asSessionsError {
            guard session.record.state != .open else {
                throw SessionsError.busy(
                    device: session.record.device.text,
                    reason: "session \(session.record.name) is open",
                    advice: "what it changed is known when it is closed")
            }
            return try changes(RestorePlan(sources: restorer.sources(of: [session])), session)
        }
    }

    private func changes(_ plan: RestorePlan, _ session: Session) -> DeviceChanges {
        DeviceChanges(
            device: session.record.device, sizeBytes: plan.originSize.bytes,
            chunkSize: plan.sources.map(\.chunkSize.bytes.bytes).min() ?? 0,
            ranges: plan.ranges.map {
                DeviceChanges.Range(offset: $0.lowerBound, length: UInt64($0.count))
            })
    }
}
