/// What lives came to.
package struct Figures: Sendable {
    /// Histories that were lived to their end.
    package var lives = 0
    /// Steps of them.
    package var steps = 0
    /// Restores that gave the exact bytes, and said so.
    package var exact = 0
    /// Restores that an option forced over something missing, and that said that the device isn't what it
    /// was.
    package var inexact = 0
    /// Online restores.
    package var online = 0
    /// Refusals, each with the exit status that the model expects.
    package var refusals = 0
    /// Sessions that ended, and began, in the middle of a mount.
    package var checkpoints = 0
    /// Times that the machine stopped.
    package var crashes = 0
    /// The same, with writes lost.
    package var cuts = 0
    /// Processes that died.
    package var deaths = 0
    /// The same, of those that delete, prune, pin or unpin.
    package var deletionDeaths = 0
    /// Sessions that were deleted, since no other one needed them.
    package var deleted = 0
    /// Sessions that were merged into the one before them.
    package var merged = 0
    /// Of those two, the ones that went by rules.
    package var pruned = 0
    /// Sessions that were pinned or unpinned.
    package var pins = 0

    /// None yet.
    package init() {}

    /// Adds another life's.
    package static func += (sum: inout Figures, one: Figures) {
        sum.lives += one.lives
        sum.steps += one.steps
        sum.exact += one.exact
        sum.inexact += one.inexact
        sum.online += one.online
        sum.refusals += one.refusals
        sum.checkpoints += one.checkpoints
        sum.crashes += one.crashes
        sum.cuts += one.cuts
        sum.deaths += one.deaths
        sum.deletionDeaths += one.deletionDeaths
        sum.deleted += one.deleted
        sum.merged += one.merged
        sum.pruned += one.pruned
        sum.pins += one.pins
    }
}

extension Figures: CustomStringConvertible {
    /// One line.
    package var description: String {
        "\(lives) lives of \(steps) steps, \(crashes) crashes, \(cuts) with writes lost, "
            + "\(deaths) processes killed, \(deletionDeaths) of them as they deleted or pinned; "
            + "\(deleted) sessions deleted, \(merged) merged, \(pruned) of those by rules, "
            + "\(pins) pinned or unpinned; \(checkpoints) checkpoints; \(exact) restores exact, \(online) of them begun online, "
            + "\(inexact) forced and said not to be what it was, \(refusals) refused as expected"
    }
}
