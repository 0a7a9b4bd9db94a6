public import Block
internal import Restore

/// What a restore will do, before it is asked for.
public struct RestorePreview: Sendable {
    /// The session whose beginning the device goes back to.
    public let session: Session
    /// What will be written to.
    public let device: ByteText
    /// The later sessions whose changes are undone with it, in their order.
    public let later: [SessionName]
    /// How much will be written, in bytes; nil where that isn't known before it is begun.
    public let bytes: UInt64?
}

extension Restorer {
    /// Looks at what a restore would put back, without reading it. Whether it can be done is said when it
    /// is: what is open may be over by then.
    func preview(_ request: RestoreRequest) throws(SessionsError) -> RestorePreview {
        let session = try catalogue.session(named: request.session)
        let lineage = try catalogue.lineage(of: session)
        let members = lineage.chain.route(to: session.record.name)?.members ?? []
        let bytes = try? plan(members.compactMap { lineage.sessions[$0] }).totals.bytes
        return RestorePreview(
            session: session, device: request.device.map { ByteText($0) } ?? session.record.device,
            later: Array(members.dropFirst()), bytes: bytes)
    }
}
