import Block
import KernelSimulation
import Restore
import SessionArchive
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Two machines, and a stream between them.
@Suite struct TransferTests {
    private static let piece = 256

    /// A machine with three sessions of a disk, and another one with a copy of it.
    private final class Pair {
        let source: World
        let target: World
        let disk: FilePath
        let names: [String]
        let states: [[UInt8]]
        /// The disk's copy.
        let copy: FilePath

        init() throws {
            source = try World(seed: 7)
            disk = try source.disk(size: 24 << 10)
            try source.activate(disk)
            var names: [String] = []
            var states = [try source.kernel.bytes(of: disk)]
            for _ in 0..<3 {
                names.append(try source.session(writes: 3))
                states.append(try source.kernel.bytes(of: disk))
            }
            (self.names, self.states) = (names, states)
            target = try World(seed: 8)
            copy = try target.kernel.addDisk("sdq", states[3], hardware: ["serial:9"])
        }

        func stream(
            _ names: [String], since: String? = nil, resume: ResumePoint? = nil
        ) throws -> [UInt8] {
            let path = source.directory.path.appending("stream")
            if Files.exists(path) { try Files.remove(path) }
            let file = try OwnedDescriptor.create(path)
            var sender = try source.service().sender
            sender.piece = TransferTests.piece
            _ = try sender.send(names, since: since, resume: resume, to: file.descriptor)
            return try Files.read(path)
        }

        /// - Returns: the sessions that were received, those that were there, and the failure.
        func receive(
            _ bytes: [UInt8], resuming: Bool = false
        ) throws -> (new: [String], present: [String], error: SessionsError?) {
            let path = target.directory.path.appending("stream")
            if Files.exists(path) { try Files.remove(path) }
            let file = try OwnedDescriptor.create(path)
            try file.write(bytes, at: 0)
            var receiver = try target.service().receiver
            receiver.piece = TransferTests.piece
            var new: [String] = []
            var present: [String] = []
            do {
                try receiver.receive(from: file.descriptor, resuming: resuming) { outcome in
                    switch outcome {
                    case .received(let name): new.append(name.text)
                    case .present(let name): present.append(name.text)
                    }
                }
            } catch let error as SessionsError {
                return (new, present, error)
            }
            return (new, present, nil)
        }

        /// Every session that is there puts the copy back, from what it is after the last of them.
        func verify() throws {
            let service = try target.service()
            let there = try target.sessions().map(\.record.name.text)
            let last = try #require(there.last.flatMap { names.firstIndex(of: $0) })
            for name in there {
                let file = try OwnedDescriptor.open(copy, .readWrite)
                try file.write(states[last + 1], at: 0)
                var request = RestoreRequest(session: name)
                request.device = copy.string
                let outcome = try service.restore(request)
                #expect(outcome.isProven && outcome.overridden.isEmpty)
                let number = try #require(names.firstIndex(of: name))
                #expect(try target.kernel.bytes(of: copy) == states[number])
            }
        }

        var left: [String] {
            (try? Files.list(Layout.receiving(in: target.layout.defaultSessions))) ?? []
        }
    }

    @Test("A chain that was sent restores a copy of its device, and nothing without its name")
    func chain() throws {
        let pair = try Pair()
        let bytes = try pair.stream([pair.names[2]], since: pair.names[0])
        #expect(try pair.receive(bytes).new == pair.names)
        #expect(pair.left.isEmpty)
        let service = try pair.target.service()
        let refusal = #expect(throws: SessionsError.self) {
            try service.restore(RestoreRequest(session: pair.names[0]))
        }
        #expect(refusal?.exitStatus == .usage)
        for name in pair.names {
            #expect(try service.verify(name).chain.map(\.text).first == name)
        }
        try pair.verify()
        // They are this machine's to delete.
        try service.keeper.delete([pair.names[0]])
        #expect(try pair.target.sessions().count == 2)
    }

    @Test("What is received is never this machine's own chain, whatever it says of itself")
    func foreign() throws {
        let pair = try Pair()
        let bytes = try pair.stream([pair.names[1]])
        // Sent back to where they come from, when they are gone there.
        let service = try pair.source.service()
        try service.keeper.delete([pair.names[0], pair.names[1]])
        let path = pair.source.directory.path.appending("stream")
        let file = try OwnedDescriptor.open(path, .readOnly)
        var receiver = service.receiver
        receiver.piece = Self.piece
        try receiver.receive(from: file.descriptor, resuming: false)
        _ = bytes
        let session = try service.session(named: pair.names[1])
        #expect(session.record.isReceived && !session.hasOwnDevice)
        #expect(session.record.chain != (try pair.source.activation()).chain.id)
        // A session of the device itself, which is not in the chain of the one received.
        try pair.source.session()
        #expect(try service.latestSession(of: pair.disk.string).record.name != session.record.name)
        try service.deactivate(pair.disk.string)
        let again = try pair.source.activate(pair.disk)
        #expect(!again.chain.id.hasPrefix("received"))
        try check(pair.source)
    }

    @Test("A session that is here is compared, and one of its name with another archive refused")
    func present() throws {
        let pair = try Pair()
        let bytes = try pair.stream([pair.names[0], pair.names[1]])
        #expect(try pair.receive(bytes).new == Array(pair.names[..<2]))
        let again = try pair.receive(bytes)
        #expect(again.present == Array(pair.names[..<2]) && again.new.isEmpty)
        let archive = Layout.archive(
            in: pair.target.layout.defaultSessions.appending(pair.names[0]))
        var other = try Files.read(archive)
        other[other.count / 2] ^= 1
        try Files.replace(archive, with: other)
        let refused = try pair.receive(bytes)
        #expect(refused.error?.exitStatus == .damaged)
        #expect(try Files.read(archive) == other)
    }

    @Test("Cut at every place, it is gone on with there, to the same archives")
    func cut() throws {
        let pair = try Pair()
        let bytes = try pair.stream([pair.names[0], pair.names[1]])
        let base = pair.target.layout.defaultSessions
        for length in stride(from: 0, to: bytes.count, by: 83) {
            for name in pair.names { try Files.removeDirectory(base.appending(name)) }
            let first = try pair.receive(Array(bytes[..<length]))
            guard case .transfer(let failure)? = first.error, !failure.isDamage else {
                throw Unexpected("cut at \(length): \(String(describing: first.error))")
            }
            // Nothing is a session that isn't whole.
            #expect(try pair.target.sessions().map(\.record.name.text) == first.new)
            let text = failure.resume.map { "\($0)" }
            let point = text.flatMap { ResumePoint($0) }
            #expect(point == failure.resume)
            // The same is said when nothing comes, and what is there stays.
            _ = try pair.receive([])
            _ = try pair.receive(Array("nonsense".utf8))
            let idle = try pair.receive([], resuming: true)
            guard case .transfer(let same)? = idle.error else { throw Unexpected("no point") }
            let pieces = (point?.offset ?? 0) / UInt64(Self.piece)
            #expect(same.resume?.offset ?? 0 == pieces * UInt64(Self.piece))
            let rest = try pair.stream([pair.names[0], pair.names[1]], resume: point)
            if let point, point.offset > 0 { #expect(rest.count < bytes.count) }
            let second = try pair.receive(rest, resuming: true)
            #expect(second.error == nil, "cut at \(length)")
            #expect(pair.left.isEmpty)
            for name in pair.names[..<2] {
                let sent = Layout.archive(in: pair.source.layout.defaultSessions.appending(name))
                #expect(
                    try Files.read(Layout.archive(in: base.appending(name))) == Files.read(sent))
            }
        }
        try pair.verify()
    }

    @Test("A byte that is another one anywhere is noticed, and no session of it appears")
    func flipped() throws {
        let pair = try Pair()
        let bytes = try pair.stream([pair.names[2]])
        for place in stride(from: 0, to: bytes.count, by: 41) {
            var damaged = bytes
            damaged[place] ^= 0x20
            let result = try pair.receive(damaged)
            #expect(result.error != nil, "byte \(place)")
            // Behind the session's end all of it has come.
            let isThere = place >= bytes.count - 20
            #expect(result.new == (isThere ? [pair.names[2]] : []), "byte \(place)")
            #expect(try pair.target.sessions().count == result.new.count)
        }
        #expect(try pair.receive(bytes).error == nil)
        try pair.verify()
    }

    @Test("Heads that can't be are refused: names, lengths, records, archives of others")
    func hostile() throws {
        let pair = try Pair()
        let service = try pair.source.service()
        for session in try service.archiver.unarchived() { try service.archiver.archive(session) }
        let session = try service.session(named: pair.names[2])
        let archive = try Files.read(Layout.archive(in: session.directory))
        func stream(
            _ change: (inout SessionRecord) -> Void = { _ in }, bytes: UInt64? = nil,
            payload: [UInt8]? = nil, offset: UInt64 = 0
        ) throws -> [UInt8] {
            var record = session.record
            change(&record)
            let head = TransferHead(
                record, bytes: bytes ?? UInt64(archive.count), piece: TransferFrame.mostBytes,
                from: offset == 0
                    ? nil : ResumePoint(name: record.name, offset: offset, checksum: 0))
            let path = pair.source.directory.path.appending("hostile")
            if Files.exists(path) { try Files.remove(path) }
            let file = try OwnedDescriptor.create(path)
            var output = TransferOutput(file.descriptor, name: "a file")
            try output.write(TransferMessage.head.frame(JSON.encode(head)))
            try output.write(TransferMessage.data.frame(payload ?? archive))
            try output.write(TransferMessage.end.frame())
            try output.write(TransferMessage.finish.frame())
            return try Files.read(path)
        }
        let escape = try #require(SessionName("evil\u{1b}[2J"))
        let other = try #require(SessionName("another"))
        let streams = [
            "a name with an escape": try stream({ $0.name = escape }),
            "another name": try stream({ $0.name = other }),
            "another store": try stream({ $0.store += 1 }),
            "another place in the chain": try stream({ $0.index += 1 }),
            "another activation": try stream({ $0.activation = "0" }),
            "an activation that is a path": try stream({ $0.activation = "../../etc" }),
            "a state that it can't have": try stream({ $0.state = .open }),
            "a version to come": try stream({ $0.version = 9 }),
            "no bytes": try stream(bytes: 0),
            "fewer bytes than there are": try stream(bytes: UInt64(archive.count - 1)),
            "more bytes than there are": try stream(bytes: UInt64(archive.count + 1)),
            "more bytes than can be": try stream(bytes: .max),
            "a place that is not here": try stream(offset: 1 << 20),
            "an archive that is damaged": try stream(payload: archive.map { $0 ^ 1 }),
            "no stream": Array("<html>".utf8),
        ]
        for (what, bytes) in streams {
            for resuming in [false, true] {
                let result = try pair.receive(bytes, resuming: resuming)
                #expect(result.error?.exitStatus == .damaged, "\(what)")
                #expect(try pair.target.sessions().isEmpty, "\(what)")
            }
        }
        // What can't be received whole leaves nothing behind.
        _ = try pair.receive(try stream())
        #expect(pair.left.isEmpty)
    }

    @Test("What is larger than the room is refused before a byte is written")
    func room() throws {
        let pair = try Pair()
        let bytes = try pair.stream([pair.names[2]])
        pair.target.kernel.free = ByteCount(1 << 20)
        let result = try pair.receive(bytes)
        #expect(result.error?.exitStatus == .ioError && result.new.isEmpty && pair.left.isEmpty)
    }

    @Test("A receiver that dies before any of its steps leaves whole sessions, and is gone on with")
    func dying() throws {
        let pair = try Pair()
        let bytes = try pair.stream([pair.names[1], pair.names[2]])
        let base = pair.target.layout.defaultSessions
        func clear() throws {
            for name in pair.names { try Files.removeDirectory(base.appending(name)) }
        }
        let steps = try Steps.counting { _ = try pair.receive(bytes) }.changes
        #expect(steps > 10)
        for step in 1...steps {
            try clear()
            Steps.dying(before: step) { _ = try pair.receive(bytes) }
            for session in try pair.target.sessions() {
                _ = try pair.target.service().verify(session.record.name.text)
            }
            let idle = try pair.receive([], resuming: true)
            guard case .transfer(let failure)? = idle.error else { throw Unexpected("no word") }
            let rest = try pair.stream(
                [pair.names[1], pair.names[2]], resume: failure.resume)
            let second = try pair.receive(rest, resuming: true)
            #expect(second.error == nil, "dead before step \(step)")
            #expect(
                try pair.target.sessions().map(\.record.name.text) == Array(pair.names[1...]))
            #expect(pair.left.isEmpty)
        }
        try pair.verify()
    }

    @Test("Open and invalid sessions, strange stretches and points are refused")
    func refusals() throws {
        let pair = try Pair()
        func refusal(
            _ names: [String], since: String? = nil, resume: ResumePoint? = nil
        ) -> Sessions.ExitStatus? {
            let error = #expect(throws: SessionsError.self) {
                try pair.stream(names, since: since, resume: resume)
            }
            return error?.exitStatus
        }
        guard case .opened(let open) = try pair.source.mount() else { throw Unexpected("a mount") }
        #expect(refusal([open.text]) == .busy)
        try pair.source.unmount()
        #expect(refusal([pair.names[0]], since: pair.names[1]) == .usage)
        #expect(refusal(pair.names, since: pair.names[0]) == .usage)
        #expect(refusal(["nothing"]) == .noInput)
        let name = try #require(SessionName(pair.names[0]))
        let wrong = ResumePoint(name: name, offset: UInt64(Self.piece), checksum: 1)
        #expect(refusal([pair.names[0]], resume: wrong) == .usage)
        #expect(refusal([pair.names[1]], resume: wrong) == .usage)
        let beyond = ResumePoint(name: name, offset: UInt64(Self.piece) << 30, checksum: 1)
        #expect(refusal([pair.names[0]], resume: beyond) == .usage)
    }

    @Test("A damaged archive cuts the stream", arguments: [0.2, 0.9])
    func damaged(_ place: Double) throws {
        let pair = try Pair()
        _ = try pair.stream([pair.names[0]])
        let archive = Layout.archive(
            in: pair.source.layout.defaultSessions.appending(pair.names[0]))
        var bytes = try Files.read(archive)
        bytes[Int(Double(bytes.count) * place)] ^= 1
        try Files.replace(archive, with: bytes)
        let error = #expect(throws: SessionsError.self) { try pair.stream([pair.names[0]]) }
        #expect(error?.exitStatus == .damaged)
        let cut = try Files.read(pair.source.directory.path.appending("stream"))
        #expect(try pair.receive(cut).new.isEmpty)
        #expect(try pair.target.sessions().isEmpty)
    }

    @Test("A point is read back as it was printed, colons in its name or not")
    func points() throws {
        for text in ["sda_20261128T000000Z", "a:b:c"] {
            let name = try #require(SessionName(text))
            let point = ResumePoint(name: name, offset: 5 << 20, checksum: .max)
            #expect(ResumePoint("\(point)") == point)
        }
        for text in [
            "", "a", "a:1", ":1:1", "a:-1:1", "a:1:g", "a:99999999999999999999:1", "../a:1:1",
        ] {
            #expect(ResumePoint(text) == nil, "\(text)")
        }
    }
}
