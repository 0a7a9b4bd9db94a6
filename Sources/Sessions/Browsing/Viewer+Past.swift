import Block
import SystemPackage

/// What a file system doesn't know of itself.
extension Viewer {
    /// Whether something may have written to the device past the file system on it: outside a mount, and no
    /// restore, which brings files back as the file system knew them.
    ///
    /// - Parameters:
    ///   - name: the session with whose beginning the time begins.
    ///   - end: the one with whose beginning it ends; nil for now.
    public func isWrittenPast(from name: String, to end: String?) throws(SessionsError) -> Bool {
        let session = try catalogue.session(named: name)
        let (chain, _) = try catalogue.lineage(of: session)
        let last = try end.map { name throws(SessionsError) in
            try catalogue.session(named: name).record.name
        }
        let members = chain.members.drop { $0.name != session.record.name }
            .prefix { $0.name != last }
        let isPast = members.contains { record in
            // What was merged into it may have been anything.
            record.kind == .offline && record.restoreOf == nil || record.broken != nil
                || record.lastIndex != nil
        }
        if isPast || end != nil { return isPast }
        // What has no session yet.
        return try asSessionsError {
            try lifecycle.registry.activations().contains { activation in
                try activation.chain.id == session.record.chain && activation.session == nil
                    && activation.state.overlay == nil && !stack.isEmpty(activation)
            }
        }
    }
}
