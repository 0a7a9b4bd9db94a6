import SystemPackage
import Testing
import VirtualMachine

/// A machine that is booted again and again on the same disks: one for the system, one for the
/// sessions, and what a test adds.
final class Reboots {
    let directory: FilePath
    let disks: [String]
    let mode: Machine.Mode
    private let checkout = FilePath(#filePath).removingLastComponent().removingLastComponent()
        .removingLastComponent()

    /// Makes the disks' directory, runs `body`, removes it.
    static func with(
        _ mode: Machine.Mode, disks: [String] = ["a"],
        _ body: (Reboots) async throws -> Void
    ) async throws {
        let reboots = try Reboots(mode, disks)
        var failure: (any Error)?
        do {
            try await body(reboots)
        } catch {
            failure = error
        }
        try reboots.remove()
        if let failure { throw failure }
    }

    private init(_ mode: Machine.Mode, _ disks: [String]) throws {
        self.mode = mode
        self.disks = disks
        directory = try makeTemporaryDirectory()
    }

    private func remove() throws {
        try removeTree(directory)
    }

    /// A machine with the disks in this order.
    func machine(order: [String]? = nil) -> Machine {
        var machine = Machine()
        machine.memory = .gibibytes(1)
        machine.mode = mode
        machine.layers = [checkout.appending(".build").appending("stage")]
        machine.systemDisk = "system"
        machine.disks = [
            Disk("system", at: directory.appending("system"), size: .gibibytes(2)),
            Disk("sessions", at: directory.appending("sessions"), size: .gibibytes(2)),
        ]
        for disk in order ?? disks {
            machine.disks.append(
                Disk(disk, at: directory.appending(disk), size: .mebibytes(96)))
        }
        machine.output = .collect
        machine.timeLimit = .seconds(300)
        machine.workingDirectory = checkout
        return machine
    }

    /// Boots, runs a script that must succeed, shuts down; gives what it printed.
    @discardableResult
    func boot(_ script: String, order: [String]? = nil) async throws -> String {
        let outcome = try await machine(order: order).run(.script(Self.prelude + script))
        guard outcome.succeeded else { throw BootFailure(outcome: outcome) }
        return outcome.outputText
    }

    /// Boots, runs a script until it signals `crash`, and kills the machine `delay` after that.
    func crash(after delay: Duration = .zero, _ script: String) async throws {
        let running = try machine().boot(.script(Self.prelude + script))
        try await running.signal("crash")
        try await Task.sleep(for: delay)
        running.kill()
        _ = await running.outcome()
    }

    /// What every script has: a file system for the sessions, the password, and a few verbs.
    private static let prelude = """
        set -eu
        password=/etc/dmsnap-password
        if [ ! -e $password ]; then
            mkfs.ext4 -q -E nodiscard -L SESSIONS /dev/vm/sessions
            mkdir -p /snapshot /srv/a
            echo 'LABEL=SESSIONS /snapshot ext4 defaults 0 2' >> /etc/fstab
            (umask 077; echo 'correct horse' > $password)
            mount /dev/vm/sessions /snapshot
            chmod 700 /snapshot
            dmsnap passwd --passfile $password > /dev/null
        fi
        mountpoint -q /snapshot || mount LABEL=SESSIONS /snapshot
        activate() { dmsnap activate "$1" --passfile $password > /dev/null; }
        deactivate() { dmsnap deactivate "$1" --passfile $password > /dev/null; }
        sum() { xxh128sum < "$1" | cut -c1-32; }
        field() { dmsnap sessions --json | jq -r "$1"; }
        # Asked of the file first: a program started for every look would keep the machine's one processor
        # from what is waited for.
        until_state() {
            for _ in $(seq 200); do
                if grep -q "\\"name\\" : \\"$1\\"" /var/lib/dmsnap/registry.json; then
                    [ "$(dmsnap status --json | jq -r '.[0].state')" != "$1" ] || return 0
                fi
                sleep 0.1
            done
            echo "not $1:"; dmsnap status; dmsnap sessions; return 1
        }

        """
}

/// A boot whose script did not succeed, or whose kernel complained.
struct BootFailure: Error, CustomStringConvertible {
    let outcome: Outcome

    var description: String {
        "\(outcome.summary)\n\(outcome.outputText)\n\(outcome.errorText)"
    }
}
