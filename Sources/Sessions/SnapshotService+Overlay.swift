public import Restore

/// Devices under an overlay.
extension SnapshotService {
    /// Gives up what was written over a device, which then shows what it is.
    public func discard(_ device: String) throws(SessionsError) -> DiscardOutcome {
        try lifecycle.discard(device)
    }

    /// Writes to a device what was written over it.
    public func commit(
        _ device: String, control: RestoreControl = RestoreControl()
    ) throws(SessionsError) -> CommitOutcome {
        try lifecycle.commit(device, control: control)
    }
}
