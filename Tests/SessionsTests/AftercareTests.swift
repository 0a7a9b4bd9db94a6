import Block
import FoundationEssentials
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// The command that is run for each archive: one after the other, since it is told by the environment, which is
/// the process's.
@Suite(.serialized) struct AftercareTests {
    /// A machine with an archived session of each of so many mounts, and a command.
    private final class Machine {
        let world: World
        let names: [String]
        /// What the command writes, and what it reads its exit status from.
        let told: FilePath
        let status: FilePath

        init(sessions: Int = 2) throws {
            world = try World()
            told = world.directory.path.appending("told")
            status = world.directory.path.appending("status")
            try Files.makeDirectory(world.layout.configuration.removingLastComponent())
            let script =
                "printf '%s\\n' \\\"$DMSNAP_SESSION\\\" \\\"$DMSNAP_DEVICE\\\" >> \(told); "
                + "cmp -s \\\"$DMSNAP_ARCHIVE\\\" \\\"$DMSNAP_DIRECTORY/chunks.dmsz\\\" || exit 9; "
                + "[ ! -e \(status) ] || exit $(cat \(status))"
            try Files.replace(
                world.layout.configuration,
                with: Array(
                    "[archive]\nafter = [\"/bin/sh\", '-c', \"\(script)\"]  # a command\n".utf8))
            try world.activate(try world.disk(size: 24 << 10))
            var names: [String] = []
            for _ in 0..<sessions { names.append(try world.session(writes: 2)) }
            self.names = names
            try archive()
        }

        func archive() throws {
            let service = try world.service()
            for session in try service.archiver.unarchived() {
                try service.archiver.archive(session)
            }
        }

        func end(with status: Int?) throws {
            guard let status else { return try Files.remove(self.status) }
            try Files.replace(self.status, with: Array("\(status)\n".utf8))
        }

        /// - Returns: the sessions that it has ended well for, and those that it has failed for.
        func run() throws -> (good: [String], bad: [String]) {
            var result: (good: [String], bad: [String]) = ([], [])
            try world.service().aftercare.run { outcome in
                switch outcome {
                case .succeeded(let name): result.good.append(name.text)
                case .failed(let name, _, _): result.bad.append(name.text)
                }
            }
            return result
        }

        var lines: [String] {
            let bytes = (try? Files.read(told)) ?? []
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        }

        var note: AfterStatus? {
            get throws { try world.service().status().first?.after }
        }
    }

    @Test("It is run once for each archive, the oldest first, and told which it is")
    func once() throws {
        let machine = try Machine()
        #expect(try machine.note?.waiting == 2)
        #expect(try machine.run().good == machine.names)
        let device = try machine.world.activation().path.text
        #expect(machine.lines == machine.names.flatMap { [$0, device] })
        #expect(try machine.run() == ([], []))
        #expect(try machine.note == nil)
        #expect(try machine.world.service().aftercare.nextDue() == nil)
        // The next one's.
        let next = try machine.world.session(writes: 2)
        #expect(try machine.run() == ([], []))
        try machine.archive()
        #expect(try machine.run().good == [next])
    }

    @Test("It is run again when it fails, after ever longer pauses, also by another process")
    func failing() throws {
        let machine = try Machine(sessions: 1)
        try machine.end(with: 3)
        var pauses: [Int] = []
        for attempt in 1...12 {
            #expect(try machine.run().bad == machine.names)
            let note = try #require(try machine.note)
            #expect(note.attempts == attempt && note.failure == "exit status 3")
            #expect(note.session?.text == machine.names[0] && note.waiting == 1)
            // Not before its time.
            #expect(try machine.run() == ([], []))
            let due = try #require(note.due)
            pauses.append(Int(due.timeIntervalSince(machine.world.kernel.clock).rounded(.up)))
            machine.world.kernel.clock = due
        }
        #expect(pauses == pauses.sorted() && pauses[0] <= 10 && pauses[11] <= 3600)
        #expect(pauses[11] > 3000)
        try machine.end(with: nil)
        #expect(try machine.run().good == machine.names)
        #expect(try machine.note == nil)
    }

    @Test("It is run again for an archive that another one was merged into")
    func merged() throws {
        let machine = try Machine(sessions: 3)
        #expect(try machine.run().good == machine.names)
        try machine.world.service().keeper.delete([machine.names[1]])
        #expect(try machine.run().good == [machine.names[0]])
    }

    @Test("A note that can't be read is taken for none, and no session is harmed")
    func strange() throws {
        let machine = try Machine(sessions: 1)
        #expect(try machine.run().good == machine.names)
        let directory = machine.world.layout.defaultSessions.appending(machine.names[0])
        try Files.replace(Layout.after(in: directory), with: Array("{\"version\": 7}".utf8))
        #expect(try machine.run().good == machine.names)
        try machine.world.service().keeper.delete(machine.names)
        #expect(try machine.world.sessions().isEmpty)
    }

    @Test("Without a command there is nothing to run; a program that isn't there is a failure")
    func none() throws {
        let machine = try Machine(sessions: 1)
        try Files.replace(
            machine.world.layout.configuration, with: Array("[archive]\nafter = []\n".utf8))
        #expect(try machine.run() == ([], []) && machine.note == nil)
        try Files.replace(
            machine.world.layout.configuration,
            with: Array("[archive]\nafter = [\"/nowhere/at-all\"]\n".utf8))
        #expect(try machine.run().bad == machine.names)
        #expect(try machine.note?.failure != nil)
    }

    @Test("Two processes don't run it for one archive at the same time")
    func alone() throws {
        let machine = try Machine(sessions: 1)
        let lock = try FileLock.take(machine.world.layout.afterLock)
        #expect(try machine.world.service().aftercare.isRunning())
        #expect(try machine.run() == ([], []))
        lock.release()
        #expect(try !machine.world.service().aftercare.isRunning())
        #expect(try machine.run().good == machine.names)
    }
}
