public import Restore

/// Checkpoints, and devices that belong together.
extension SnapshotService {
    /// Ends the session of a device that is in use, and begins another.
    public func checkpoint(
        _ device: String, label: SessionLabel? = nil
    ) throws(SessionsError) -> CheckpointOutcome {
        try lifecycle.checkpoint(device, label: label)
    }

    /// The group of this name; nil if there is none.
    public func group(named text: String) throws(SessionsError) -> DeviceGroup? {
        guard let name = GroupName(text) else { return nil }
        return try lifecycle.registry.read().group(name)
    }

    /// A group as it is now.
    ///
    /// - Throws: `noSuchGroup`.
    public func report(on group: GroupName) throws(SessionsError) -> GroupReport {
        try lifecycle.report(on: group)
    }

    /// Makes a group of these devices, or gives it others than it has.
    @discardableResult
    public func setGroup(
        _ name: GroupName, _ devices: [String]
    ) throws(SessionsError) -> GroupReport {
        try lifecycle.group(name, devices)
    }

    /// Forgets a group; its devices and their sessions stay.
    public func dissolve(_ group: GroupName) throws(SessionsError) {
        try lifecycle.dissolve(group)
    }

    /// Ends the sessions of all of a group's devices that are in use, and begins others, at one instant.
    public func checkpoint(
        _ group: GroupName, label: SessionLabel? = nil
    ) throws(SessionsError) -> GroupCheckpoint {
        try lifecycle.checkpoint(group, label: label)
    }

    /// Puts down the instants that groups have in common, where that has not been done yet.
    ///
    /// - Parameter devices: those that nobody uses.
    public func noteInstants(ofIdle devices: [Activation]) throws(SessionsError) {
        try lifecycle.noteRests(ofIdle: devices)
    }

    /// Puts all devices of a group back to an instant that they have in common.
    ///
    /// - Parameter request: what it goes on in spite of, and whether it only reads; its session is not looked at.
    public func restore(
        _ goal: GroupGoal, _ request: RestoreRequest, control: RestoreControl = RestoreControl()
    ) throws(SessionsError) -> GroupOutcome {
        try GroupRestore(lifecycle, goal, request, control).run()
    }
}
