public import Block

/// What a restore of a group did.
public struct GroupOutcome: Sendable {
    /// The group.
    public let group: GroupName
    /// The instant that all of its devices were put back to.
    public let instant: GroupInstant
    /// Of each device that anything was written to since.
    public let restored: [RestoreOutcome]
    /// The others, to which nothing has been written since, as far as their stores know.
    public let untouched: [Untouched]

    /// A device of the group that is left alone.
    public struct Untouched: Sendable {
        /// What is mounted.
        public let device: ByteText
        /// Whether it is the same as what was recorded when its store was armed, wherever that was compared.
        public let isAsItWas: Bool
    }
}

/// What a restore of a group is asked to do.
public enum GroupGoal: Hashable, Sendable {
    /// Back to before the group's last mount, or to its last checkpoint, whichever came later.
    case latest(GroupName)
    /// Back to the instant at which this session begins, named as `session(named:)` takes it; a label that several
    /// have means one instant, if they begin at the same.
    case session(String)
}
