import Block
import FoundationEssentials
import Glibc
import Lives
import StoreTesting
import SystemPackage

/// Sessions that go, by the installed program, which may be killed at it.
extension RealMachine {
    private static let configuration: FilePath = "/etc/dmsnap/dmsnap.toml"

    /// The command was killed.
    private struct Killed: Error {}

    /// - Returns: what it printed, and its refusal.
    private func deleting(_ arguments: String) throws -> (out: String, refusal: Refusal?) {
        var command = "dmsnap \(arguments)"
        if let time = killsAfter {
            killsAfter = nil
            command = "timeout -s KILL 0.\(String(1000 + time).dropFirst()) \(command)"
        }
        let output = try Shell.call(command)
        if output.status == 137 {
            hasKilled = true
            throw Killed()
        }
        let refusal =
            output.status == 0
            ? nil : Refusal(status: Int(output.status), message: output.err + output.out)
        return (output.out, refusal)
    }

    func delete(_ sessions: [ListedSession]) throws -> DeletionResult {
        let (out, refusal) = try deleting(
            "delete " + sessions.map(\.name).joined(separator: " "))
        var result = DeletionResult()
        for line in out.split(separator: "\n") {
            // `NAME: deleted`, or `NAME: deleted; what older sessions need of it is in OLDER`
            let words = line.split(separator: " ")
            guard let first = words.first, let last = words.last, words.count > 1 else { continue }
            result.gone.append(
                Departure(
                    String(first.dropLast()), into: words.count == 2 ? nil : String(last)))
        }
        result.refusals = refusal.map { [$0] } ?? []
        return result
    }

    func pin(_ session: ListedSession, _ isPinned: Bool) throws {
        let (_, refusal) = try deleting("\(isPinned ? "pin" : "unpin") \(session.name)")
        if let refusal { throw refusal }
    }

    /// As much of what `prune --json` prints.
    private struct Pruned: Decodable {
        let name: String
        let mergedInto: String?
    }

    func prune(_ order: PruneOrder) throws -> DeletionResult {
        let rule =
            switch order.rule {
            case .keepLast(let count): "keep-last = \(count)"
            case .maxSize(let most): "max-size = \"\(most)K\""
            case .minFree(let missing): "min-free = \"\(missing)K\""
            }
        let text = "[retention]\n\(rule)\n"
        try Files.makeDirectory(Self.configuration.removingLastComponent())
        try Files.replace(Self.configuration, with: Array(text.utf8))
        defer { try? Files.remove(Self.configuration) }
        // What is planned is asked for first; the process that is killed is the other one.
        let killsAfter = self.killsAfter
        if order.isDryRun { self.killsAfter = nil }
        let (out, refusal) = try deleting("prune --json\(order.isDryRun ? " --dry-run" : "")")
        if order.isDryRun { self.killsAfter = killsAfter }
        var result = DeletionResult()
        result.gone = try JSONDecoder().decode([Pruned].self, from: Data(out.utf8)).map {
            Departure($0.name, into: $0.mergedInto)
        }
        result.refusals = refusal.map { [$0] } ?? []
        return result
    }

    func bytes(of session: ListedSession) throws -> UInt64 {
        let directory = base.appending(session.name)
        return try Files.list(directory).reduce(0) {
            try $0 + FileStatus(directory.appending($1), follow: false).allocated.bytes
        }
    }

    func activatedPath() throws -> String? { try activation()?.path }

    func remains() throws -> [String] {
        guard Files.exists(base) else { return [] }
        let deleted = base.appending(".deleted")
        let rubbish = Files.exists(deleted) ? try Files.list(deleted) : []
        let marked = try Files.list(base).filter {
            Files.exists(base.appending($0).appending("absorbing.json"))
        }
        return rubbish.map { ".deleted/\($0)" } + marked.map { "\($0)/absorbing.json" }
    }

    /// A command that deletes or pins is killed after so many milliseconds; the monitor, too, and the next
    /// one puts right what is left. Others can't be killed where what is left is known.
    func dying(
        before number: Int, _ body: () throws -> Void, halfway: () throws -> Void
    ) throws -> Bool {
        guard let activation = try activation(), Files.exists(activation.origin) else {
            try body()
            return false
        }
        // From the beginning of a command to the end of one that merges.
        killsAfter = min(number * 10, 999)
        hasKilled = false
        defer { killsAfter = nil }
        do {
            try body()
        } catch  where hasKilled {
        }
        guard hasKilled else { return false }
        for process in Monitors.running { kill(process, SIGKILL) }
        try wait("the programs have ended") { Monitors.running.isEmpty }
        try halfway()
        try Shell.must("setsid -f dmsnap monitor > /dev/null 2>> /run/dmsnap/monitor.log")
        try wait("the next monitor runs") { try Monitors.running.contains(where: Monitors.isOn) }
        try wait("it has ended what was left") { try remains().isEmpty }
        try monitor()
        return true
    }
}
