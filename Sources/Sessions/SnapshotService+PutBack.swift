public import Restore

/// Devices that are put back by themselves.
extension SnapshotService {
    /// When it is put back by itself, and to what.
    ///
    /// - Returns: the activation as it then is.
    @discardableResult
    public func set(
        _ device: String, _ change: PolicyChange
    ) throws(SessionsError) -> Activation {
        try lifecycle.set(device, change)
    }

    /// Puts a device back to its base, or sees that it is back, where that is due now.
    public func putBack(
        _ id: String, control: RestoreControl = RestoreControl()
    ) throws(SessionsError) -> PutBackOutcome {
        try lifecycle.putBack(id, control: control)
    }

    /// Lets the sessions go of the times that a device was put back and that nobody is to undo any more.
    public func dropRoundTrips(_ id: String) throws(SessionsError) {
        try lifecycle.dropRoundTrips(id)
    }
}
