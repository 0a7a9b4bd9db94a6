/// A session that is gone.
package struct Departure: Hashable, Sendable {
    /// Its name.
    package let name: String
    /// The older one that has what it had; nil where none needs it.
    package let into: String?

    /// One that went like this.
    package init(_ name: String, into older: String?) {
        self.name = name
        into = older
    }
}

/// What came of a command that deletes sessions.
package struct DeletionResult: Sendable {
    /// What it said is gone, in this order.
    package var gone: [Departure] = []
    /// What it was refused, each with its exit status; a deletion ends at the first.
    package var refusals: [Refusal] = []

    /// Nothing yet.
    package init() {}
}

/// The one rule by which sessions are to go.
package enum PruneRule: Hashable, Sendable {
    /// So many of a device stay; at least 1.
    case keepLast(Int)
    /// A device's may take so many KiB; at least 1.
    case maxSize(UInt64)
    /// So many KiB more have to be free than are.
    case minFree(UInt64)
}

/// What is to be pruned.
package struct PruneOrder: Hashable, Sendable {
    /// By which rule.
    package let rule: PruneRule
    /// Only sessions of what is activated, as the monitor does.
    package let isOfActivated: Bool
    /// Whether nothing is to be done but said.
    package var isDryRun = false
}
