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

    /// Whether and when what is written over a device is given up by itself.
    public func set(_ device: String, restoreAt: RestoreAt) throws(SessionsError) {
        try lifecycle.set(device, restoreAt: restoreAt)
    }
}
