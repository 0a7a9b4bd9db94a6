/// One thing that happens to a device in a life. Each may come at any time: what can't be done then is
/// either refused, which is looked at, or left out.
package struct Step: Hashable, Sendable {
    /// What happens.
    package enum Act: String, CaseIterable, Sendable {
        /// dmsnap's verbs; `restore` and its kin of the session that the number chooses.
        case activate, deactivate, assemble, restore, accept, undo, online, archive, checkpoint,
            reset
        /// Of one session or several; by a rule; of one.
        case delete, prune, pin, unpin
        /// What users do; `check` writes outside a mount, as fsck does.
        case mount, write, fsync, remount, unmount, check
        /// The monitor looks; the kernel puts back some more chunks of an online restore.
        case monitor, merge
        /// The machine stops: with all that was written, or without some of what no flush came after.
        case crash, cut
        /// The next verb's process dies before the change of this number.
        case die
        /// Something writes to the device while nothing captures.
        case rescue
        /// The device comes back under another name.
        case rename
        /// The present store is full.
        case fill
        /// A session's directory is deleted; a bit of a session's data is flipped.
        case gap, damage
    }

    /// Whether a process of dmsnap's does it.
    var isVerb: Bool {
        switch act {
        case .activate, .deactivate, .assemble, .restore, .accept, .undo, .online, .archive,
            .delete, .prune, .pin, .unpin, .monitor, .checkpoint, .reset:
            true
        default: false
        }
    }

    /// Whether it takes sessions away or marks them, and nothing else.
    var keepsDevice: Bool { [.delete, .prune, .pin, .unpin].contains(act) }

    /// What happens.
    package let act: Act
    /// Which session, what is written, how much.
    package let number: Int

    /// A step.
    package init(_ act: Act, _ number: Int = 0) {
        self.act = act
        self.number = number
    }
}

extension Step: CustomStringConvertible {
    /// As `write 7`; without a number where that is 0.
    package var description: String {
        number == 0 ? act.rawValue : "\(act.rawValue) \(number)"
    }

    /// - Parameter text: as `description` gives it.
    package init?(_ text: some StringProtocol) {
        let words = text.split(separator: " ")
        guard let first = words.first, words.count <= 2, let act = Act(rawValue: String(first))
        else { return nil }
        var number = 0
        if words.count == 2 {
            guard let given = Int(words[1]), given >= 0 else { return nil }
            number = given
        }
        self.init(act, number)
    }
}
