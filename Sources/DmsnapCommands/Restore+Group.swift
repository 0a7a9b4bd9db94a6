import ArgumentParser
import Sessions

/// `restore GROUP`, and `restore --group --session SESSION`.
extension Restore {
    /// What of a group was asked for; nil if one device is meant.
    func goal(_ service: SnapshotService) throws -> GroupGoal? {
        if group { return .session(try session.required()) }
        guard session.session == nil, device == nil, dev == nil, let name = session.name,
            let named = try service.group(named: name)
        else { return nil }
        guard !online else {
            throw ValidationError(
                "a group is restored offline: leave --online out, or restore its devices one by one"
            )
        }
        return .latest(named.name)
    }

    func restore(_ goal: GroupGoal, _ service: SnapshotService) throws {
        let request = try request(session: "")
        if asks {
            let what =
                switch goal {
                case .latest(let group):
                    "\(group) go back to the last instant that they have in common"
                case .session(let session):
                    "the group of session \(Output.visible(session)) go back to the instant at which it begins"
                }
            try Self.require("All devices of \(what); what was written since is written over.")
        }
        let outcome = try Self.showingProgress {
            try service.restore(goal, request, control: $0)
        }
        var failure: ExitCode?
        for one in outcome.restored {
            do {
                try Self.tell(one, isDry: dryRun, service, inGroup: true)
            } catch let code as ExitCode {
                failure = code
            }
        }
        for one in outcome.untouched {
            let device = Output.visible(one.device)
            try Output.print(
                one.isAsItWas
                    ? "\(device): nothing was written to it since; it is what it was at that instant."
                    : "\(device): no session has what was written to it since. It is NOT what it was at that instant."
            )
            if !one.isAsItWas { failure = ExitCode(ExitStatus.damaged.rawValue) }
        }
        if let undo = outcome.restored.compactMap(\.undo).first {
            try Output.print(
                "To undo it: dmsnap restore --group --session \(Output.visible(undo.text))")
        }
        if let failure { throw failure }
    }
}
