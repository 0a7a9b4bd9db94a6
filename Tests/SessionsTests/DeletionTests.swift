import Block
import ExceptionStore
import FoundationEssentials
import Glibc
import KernelSimulation
import Restore
import SessionArchive
import StoreTesting
import Synchronization
import SystemPackage
import Testing

@testable import Sessions

/// Sessions deleted, merged, labelled and pinned.
@Suite struct DeletionTests {
    /// A disk with a chain of sessions, and its contents before each.
    private final class Chained {
        let world: World
        let path: FilePath
        private(set) var names: [String] = []
        private(set) var states: [String: [UInt8]] = [:]

        init(_ count: Int = 4, isImage: Bool = false, archived: Int = 2) throws {
            world = try World()
            path = try isImage ? world.image(size: 40_000) : world.disk()
            try world.activate(path)
            for number in 0..<count {
                try session()
                if number + 1 == archived { try archive() }
            }
        }

        func session() throws {
            let before = try world.kernel.bytes(of: path)
            let name = try world.session()
            states[name] = before
            names.append(name)
        }

        func archive() throws {
            let service = try world.service()
            for session in try service.archiver.unarchived() {
                try service.archiver.archive(session)
            }
        }

        var keeper: Keeper { get throws { try world.service().keeper } }

        func delete(
            _ indices: Int..., patience: Duration = .milliseconds(20)
        ) throws {
            var keeper = try keeper
            keeper.patience = patience
            try keeper.delete(indices.map { names[$0] })
        }

        /// Runs `body` while somebody reads a session.
        func using(_ index: Int, _ body: () throws -> Void) throws {
            let service = try world.service()
            let source = try service.keeper.catalogue.chunkSource(
                of: service.session(named: names[index]), cacheBytes: 0)
            try body()
            #expect(source.exceptions.count > 0)
        }

        func directory(_ index: Int) -> FilePath {
            world.layout.defaultSessions.appending(names[index])
        }

        func left() throws -> [String] {
            try world.sessions().filter { $0.record.restoreOf == nil }.map(\.record.name.text)
        }

        /// Every session that is there goes back to where it began, through the armed device and past it.
        func verify(_ expected: Int...) throws {
            let names = expected.map { self.names[$0] }
            #expect(try left() == names)
            for name in names.reversed() {
                _ = try world.service().verify(name)
                let outcome = try world.service().restore(RestoreRequest(session: name))
                #expect(outcome.isProven && outcome.overridden.isEmpty)
                #expect(try world.kernel.bytes(of: path) == states[name], "\(name)")
            }
            try check(world)
            try world.service().deactivate(path.string)
            for name in names {
                _ = try world.service().restore(RestoreRequest(session: name))
                #expect(try world.kernel.bytes(of: path) == states[name], "\(name), bare")
                break
            }
            let base = world.layout.defaultSessions
            #expect((try? Files.list(Layout.deleted(in: base)))?.isEmpty ?? true)
        }
    }

    @Test("The oldest is deleted, and the others restore as before", arguments: [false, true])
    func oldest(isImage: Bool) throws {
        let chained = try Chained(isImage: isImage)
        try chained.delete(0)
        #expect(!Files.exists(chained.directory(0)))
        try chained.verify(1, 2, 3)
    }

    @Test(
        "One in the middle, or the last, is merged into the one before it, whatever has its chunks",
        arguments: [1, 2, 3], [0, 2, 4])
    func merged(index: Int, archived: Int) throws {
        let chained = try Chained(archived: archived)
        var outcomes: [Keeper.Outcome] = []
        try chained.keeper.delete([chained.names[index]]) { outcomes.append($0) }
        guard case .merged(let gone, let older)? = outcomes.first else {
            throw Unexpected("\(outcomes)")
        }
        #expect(gone.text == chained.names[index] && older.text == chained.names[index - 1])
        let record = try chained.world.service().session(named: older).record
        #expect(record.places == index - 1...index && record.state == .archived)
        #expect(
            try Files.list(chained.directory(index - 1)).sorted() == [
                "chunks.dmsz", "session.json",
            ])
        switch index {
        case 1: try chained.verify(0, 2, 3)
        case 2: try chained.verify(0, 1, 3)
        default: try chained.verify(0, 1, 2)
        }
    }

    @Test("Of several the older ones go first, in whatever order they are named")
    func several() throws {
        let chained = try Chained(5)
        try chained.delete(3, 1, 0)
        try chained.verify(2, 4)
        #expect(
            try chained.world.service().session(named: chained.names[2]).record.places == 2...3)
    }

    @Test("What was merged can be merged further, deleted, and gone on from by the next session")
    func onward() throws {
        let chained = try Chained()
        try chained.delete(1)
        try chained.delete(2)
        try chained.delete(3)
        try chained.session()
        #expect(try chained.world.activation().chain.index == 5)
        #expect(
            try chained.world.service().session(named: chained.names[0]).record.places == 0...3)
        try chained.delete(4)
        try chained.world.service().deactivate(chained.path.string)
        // The chain goes on where the merged one ended.
        try chained.world.activate(chained.path)
        #expect(try chained.world.activation().chain.index == 5)
        try chained.session()
        try chained.verify(0, 5)
    }

    @Test("Sessions of other chunk sizes are merged in the smaller one")
    func chunkSizes() throws {
        let world = try World()
        let disk = try world.disk(size: 40 << 10)
        var states: [[UInt8]] = []
        var names: [String] = []
        for size in ["4K", "512B", "2K", "1K"] {
            _ = try world.service().activate(disk.string, .init(chunkSize: .init(parsing: size)))
            states.append(try world.kernel.bytes(of: disk))
            names.append(try world.session())
            try world.service().deactivate(disk.string)
        }
        try world.service().keeper.delete([names[1], names[3]])
        let records = try world.sessions().map(\.record)
        #expect(records.map(\.chunkSize.bytes) == [512, 1024])
        for index in [2, 0] {
            _ = try world.service().restore(RestoreRequest(session: names[index]))
            #expect(try world.kernel.bytes(of: disk) == states[index])
        }
    }

    @Test("A pinned one, an open one and one that another command reads stay")
    func refused() throws {
        let chained = try Chained()
        try chained.keeper.pin([chained.names[0]], true)
        var error = #expect(throws: SessionsError.self) { try chained.delete(0) }
        #expect(error?.exitStatus == .usage && error?.description.contains("unpin") == true)
        try chained.keeper.pin([chained.names[0]], false)

        guard case .opened(let open) = try chained.world.mount() else { throw Unexpected("none") }
        error = #expect(throws: SessionsError.self) { try chained.keeper.delete([open.text]) }
        #expect(error?.exitStatus == .busy)
        chained.world.kernel.unmount(try chained.world.origin())
        _ = try chained.world.service().rollOver(chained.world.activation().id)

        try chained.using(0) {
            error = #expect(throws: SessionsError.self) { try chained.delete(0) }
            #expect(error?.exitStatus == .busy)
            // And into it another one can be merged: whoever reads it has its old archive.
            try chained.delete(1)
        }
        try chained.delete(0)
        try chained.verify(2, 3)
    }

    @Test("While one deletes, another waits, and then is told so")
    func alone() throws {
        let chained = try Chained(2)
        try Files.makeDirectory(chained.world.layout.runDirectory)
        guard let lock = try FileLock.takeIfFree(chained.world.layout.deletionLock) else {
            throw Unexpected("no lock")
        }
        try lock.holding {
            let failures = try chained.keeper.recover()
            #expect(failures.isEmpty)
            let error = #expect(throws: SessionsError.self) { try chained.delete(0) }
            #expect(error?.exitStatus == .busy)
        }
        #expect(try chained.left() == chained.names)
    }

    @Test("An invalid one goes as the oldest only, and what is broken is merged into nothing")
    func invalid() throws {
        let chained = try Chained()
        try chained.keeper.catalogue.changeRecord(in: chained.directory(1)) {
            $0.state = .invalid
        }
        for index in [1, 2] {
            let error = #expect(throws: SessionsError.self) { try chained.delete(index) }
            #expect(error?.exitStatus == .damaged)
            #expect(error?.description.contains("delete the older ones first") == true)
        }
        #expect(try chained.left() == chained.names)
        try chained.delete(0)
        try chained.delete(1)
        try chained.keeper.catalogue.changeRecord(in: chained.directory(2)) {
            $0.broken = "dd wrote"
        }
        #expect(throws: SessionsError.self) { try chained.delete(3) }
        #expect(try chained.left() == [chained.names[2], chained.names[3]])
    }

    @Test("What is damaged is merged into nothing, and all is as it was")
    func damaged() throws {
        for index in [0, 1] {
            let chained = try Chained(3)
            let archive = Layout.archive(in: chained.directory(index))
            let file = try OwnedDescriptor.open(archive, .readWrite)
            let size = try file.size().bytes
            // In the first block's contents, behind the header.
            let byte = try file.read(count: 1, at: size / 2)[0]
            try file.write([byte ^ 1], at: size / 2)
            let before = try Files.list(chained.directory(0))
            let error = #expect(throws: SessionsError.self) { try chained.delete(1) }
            #expect(error?.exitStatus == .damaged, "\(String(describing: error))")
            #expect(try chained.left() == chained.names)
            #expect(try Files.list(chained.directory(0)) == before)
            try file.write([byte], at: size / 2)
            try file.close()
            try chained.verify(0, 1, 2)
        }
    }

    @Test("Too little room for the union is said before anything is written")
    func noRoom() throws {
        let chained = try Chained(2)
        chained.world.kernel.free = ByteCount(1)
        let error = #expect(throws: SessionsError.self) { try chained.delete(1) }
        #expect(error?.description.contains("bytes, and") == true)
        #expect(!Files.exists(Layout.absorbing(in: chained.directory(0))))
        // The oldest takes none.
        try chained.delete(0)
        #expect(try chained.left() == [chained.names[1]])
    }

    @Test("Links in a session's directory are removed and not followed; a directory in it stops it")
    func links() throws {
        let chained = try Chained(2)
        let outside = try chained.world.directory.file("outside", [1, 2, 3])
        let tree = chained.world.directory.path.appending("tree")
        try Files.makeDirectory(tree)
        try Files.replace(tree.appending("file"), with: [4])
        try symbolicLink(chained.directory(0).appending("a"), to: outside)
        try symbolicLink(chained.directory(0).appending("b"), to: tree)
        let inner = chained.directory(0).appending("c")
        try Files.makeDirectory(inner)
        let error = #expect(throws: SessionsError.self) { try chained.delete(0) }
        #expect(error?.description.contains("move that away") == true)
        #expect(try chained.left() == chained.names)
        try Files.removeDirectory(inner)
        try chained.delete(0)
        #expect(try chained.left() == [chained.names[1]])
        #expect(try Files.read(outside) == [1, 2, 3])
        #expect(try Files.read(tree.appending("file")) == [4])
    }

    @Test("A session's directory that is a link, and one that lies elsewhere, are none to delete")
    func elsewhere() throws {
        let chained = try Chained(2)
        let away = chained.world.directory.path.appending("away")
        try Files.rename(chained.directory(0), to: away)
        try symbolicLink(chained.directory(0), to: away)
        for name in [chained.names[0], away.string] {
            let error = #expect(throws: SessionsError.self) { try chained.keeper.delete([name]) }
            #expect([.usage, .damaged].contains(error?.exitStatus), "\(String(describing: error))")
        }
        #expect(try Files.list(away).count > 1)
        // What a crash would have left, made by somebody: it goes as what it is.
        let deleted = Layout.deleted(in: chained.world.layout.defaultSessions)
        try Files.makeDirectory(deleted)
        try symbolicLink(deleted.appending("x"), to: away)
        #expect(try chained.keeper.recover().isEmpty)
        #expect(try Files.list(away).count > 1)
        #expect(try Files.list(deleted) == [])
    }

    @Test("A record that claims another's place has nothing removed by it")
    func claimed() throws {
        let chained = try Chained(3, archived: 0)
        let keeper = try chained.keeper
        let session = try chained.world.service().session(named: chained.names[0])
        let marker = Array(#"{"session": "\#(chained.names[1])", "lastIndex": 1}"#.utf8)
        let archive = Layout.archive(in: session.directory)
        for claim in [nil, 1] {
            var record = session.record
            record.lastIndex = claim
            try ArchiveFiles.create(
                source: try keeper.catalogue.closedStore(of: session),
                metadata: String(decoding: try JSON.encode(record), as: UTF8.self), at: archive)
            try keeper.catalogue.changeRecord(in: session.directory) { $0.lastIndex = 1 }
            try Files.replace(Layout.absorbing(in: session.directory), with: marker)
            // Where the archive says so, too, it has not all of it.
            #expect(try keeper.recover().count == (claim == nil ? 0 : 1))
            #expect(Files.exists(Layout.store(in: chained.directory(1))))
            #expect(Files.exists(Layout.store(in: session.directory)))
        }
        try Files.remove(Layout.absorbing(in: session.directory))
        try Files.remove(archive)
        try keeper.catalogue.changeRecord(in: session.directory) { $0.lastIndex = nil }
        try chained.verify(0, 1, 2)
    }

    @Test("A restore that was cut short keeps its session until it is run again")
    func halfRestored() throws {
        let chained = try Chained(3)
        try Files.replace(Layout.restoring(in: chained.directory(1)), with: Array("{}".utf8))
        for index in [1, 2] {
            let error = #expect(throws: SessionsError.self) { try chained.delete(index) }
            #expect(error?.exitStatus == .busy)
        }
        #expect(try chained.left() == chained.names)
    }

    @Test("Nothing is merged while the archive of either is being made", arguments: [0, 1])
    func beingArchived(index: Int) throws {
        let chained = try Chained(2, archived: 0)
        let store = Layout.store(in: chained.directory(index))
        guard let lock = try FileLock.takeIfFree(existing: store) else {
            throw Unexpected("no lock")
        }
        let archive = Layout.archive(in: chained.directory(0))
        try lock.holding {
            let error = #expect(throws: SessionsError.self) { try chained.delete(1) }
            #expect(error?.exitStatus == .busy)
            #expect(!Files.exists(archive))
            #expect(!Files.exists(Layout.absorbing(in: chained.directory(0))))
        }
        #expect(try chained.left() == chained.names)
    }

    @Test(
        "A session that is being compressed is deleted as soon as that has ended",
        arguments: [0, 1])
    func waiting(index: Int) throws {
        let chained = try Chained(2, archived: 0)
        let session = try chained.world.service().session(named: chained.names[1])
        let used = try chained.keeper.catalogue.hold(session)
        let store = Layout.store(in: chained.directory(index))
        guard let lock = try FileLock.takeIfFree(existing: store), let used else {
            throw Unexpected("no lock")
        }
        let service = try chained.world.service()
        let name = chained.names[1]
        let deletion = WorkerThread.start {
            var keeper = service.keeper
            keeper.patience = .seconds(60)
            try? keeper.delete([name])
        }
        usleep(200_000)
        lock.release()
        usleep(200_000)
        #expect(Files.exists(chained.directory(1)))
        used.release()
        deletion?.join()
        #expect(try chained.left() == [chained.names[0]])
        try chained.verify(0)
    }

    @Test("While one is merged away nobody makes its archive")
    func archivedMeanwhile() throws {
        let chained = try Chained(2, archived: 0)
        let service = try chained.world.service()
        let younger = try service.session(named: chained.names[1])
        let outcomes = Mutex<[Bool]>([])
        let control = ArchiveControl(report: { _ in
            let error = #expect(throws: SessionsError.self) {
                try service.archiver.archive(younger)
            }
            outcomes.withLock { $0.append(error?.exitStatus == .busy) }
        })
        try service.keeper.delete([chained.names[1]], control: control)
        #expect(outcomes.withLock { !$0.isEmpty && $0.allSatisfy(\.self) })
        #expect(try chained.left() == [chained.names[0]])
        try chained.verify(0)
    }

    // MARK: labels and pins

    @Test("A label is kept, shown, and names the session where no other one has it")
    func labels() throws {
        let chained = try Chained(3)
        let service = try chained.world.service()
        _ = try service.keeper.label(chained.names[0], "before the é")
        _ = try service.keeper.label(chained.names[2], "before the e\u{301}")
        // Two that look alike are two.
        for (label, index) in [("before the é", 0), ("before the e\u{301}", 2)] {
            let found = try service.session(named: label)
            #expect(found.record.name.text == chained.names[index])
            #expect(service.summary(of: found).label?.bytes == ByteText(label))
        }
        _ = try service.keeper.label(chained.names[1], "before the é")
        let error = #expect(throws: SessionsError.self) {
            try service.session(named: "before the é")
        }
        #expect(error?.exitStatus == .usage)
        for index in [0, 1] {
            #expect(error?.description.contains(chained.names[index]) == true)
        }
        // A session's own name comes first, and a label can be taken away.
        _ = try service.keeper.label(chained.names[1], chained.names[0])
        #expect(
            try service.session(named: chained.names[0]).record.name.text == chained.names[0])
        _ = try service.keeper.label(chained.names[0], "")
        #expect(throws: SessionsError.self) { try service.session(named: "before the é") }
        let outcome = try service.restore(RestoreRequest(session: "before the e\u{301}"))
        #expect(outcome.session.record.name.text == chained.names[2])
    }

    @Test(
        "What can't be a label is refused",
        arguments: [
            "two\nlines", "a\u{1b}[2Jb", "a\u{7f}", "a\u{202e}b", "a\u{FFFD}",
            String(repeating: "é", count: 101), "a\u{85}", "\t",
        ])
    func badLabel(text: String) throws {
        #expect(SessionLabel(text) == nil)
        let chained = try Chained(1)
        let error = #expect(throws: SessionsError.self) {
            try chained.keeper.label(chained.names[0], text)
        }
        #expect(error?.exitStatus == .usage)
        #expect(try chained.world.sessions().first?.record.label == nil)
    }

    @Test("200 bytes are a label, also in a record; a record with more is unreadable")
    func longLabel() throws {
        let chained = try Chained(1)
        let longest = String(repeating: "é", count: 100)
        _ = try chained.keeper.label(chained.names[0], longest)
        let path = Layout.record(in: chained.directory(0))
        let text = String(decoding: try Files.read(path), as: UTF8.self)
        try Files.replace(path, with: Array(text.replacing(longest, with: longest + "x").utf8))
        let error = #expect(throws: SessionsError.self) {
            try chained.world.service().session(named: chained.names[0])
        }
        #expect(error?.description.contains("label") == true)
    }

    @Test("A record of before labels and pins is read, and its summary has every key")
    func early() throws {
        let chained = try Chained(1)
        let service = try chained.world.service()
        let session = try service.session(named: chained.names[0])
        let text = String(
            decoding: try Files.read(Layout.record(in: session.directory)), as: UTF8.self)
        for key in ["label", "pinned", "lastIndex"] { #expect(!text.contains("\"\(key)\"")) }
        let summary = service.summary(of: session)
        #expect(!summary.pinned && summary.label == nil && summary.kind == .mount)
        let json = String(decoding: try JSON.encode(summary), as: UTF8.self)
        for key in [
            "kind", "label", "pinned", "interrupted", "broken", "mountPoint", "fileSystem",
        ] { #expect(json.contains("\"\(key)\" :"), "\(key)") }
    }

    @Test("An open session keeps its label when it closes, and an archived one in its record")
    func whileOpen() throws {
        let world = try World()
        try world.activate(world.disk())
        guard case .opened(let name) = try world.mount() else { throw Unexpected("no session") }
        try world.scribble()
        _ = try world.service().keeper.label(name.text, "upgrade")
        try world.service().keeper.pin([name.text], true)
        try world.unmount()
        let service = try world.service()
        for session in try service.archiver.unarchived() { try service.archiver.archive(session) }
        let record = try service.session(named: "upgrade").record
        #expect(record.name == name && record.isPinned && record.state == .archived)
    }

    @Test("Of several sessions to pin none is changed where one isn't there")
    func pinNone() throws {
        let chained = try Chained(2)
        #expect(throws: SessionsError.self) {
            try chained.keeper.pin([chained.names[0], "nothing"], true)
        }
        #expect(try chained.world.sessions().allSatisfy { !$0.record.isPinned })
    }

    // MARK: the latest session, and what a restore will do

    @Test("The latest session is the last of the device's chain, by any name of the device")
    func latest() throws {
        let chained = try Chained(3)
        let service = try chained.world.service()
        for name in [chained.path.string, "sda"] {
            #expect(try service.latestSession(of: name).record.name.text == chained.names[2])
        }
        #expect(throws: SessionsError.self) { try service.latestSession(of: "sdz") }
        let preview = try service.preview(RestoreRequest(session: chained.names[0]))
        #expect(preview.later.map(\.text) == [chained.names[1], chained.names[2]])
        let outcome = try service.restore(RestoreRequest(session: chained.names[0]))
        #expect(preview.bytes == outcome.report.totals.bytes)
        #expect(preview.device == outcome.session.record.device)
        // Then it is the one that undoes that.
        #expect(try service.latestSession(of: "sda").record.name == outcome.undo)
    }

    @Test(
        "A restore of the latest session is of what was written last, closed or not, and not of more"
    )
    func latestToRestore() throws {
        let chained = try Chained(2)
        let world = chained.world
        let service = try world.service()
        let before = try world.kernel.bytes(of: chained.path)
        // No monitor has come to it: a mount that is over, and a write outside one.
        _ = try world.mount()
        try world.scribble()
        try world.kernel.unmount(world.origin())
        var request = try service.latestRequest(for: chained.path.string)
        let mounted = try service.session(named: request.session)
        #expect(mounted.record.state == .closed && mounted.record.kind == .mount)
        try world.scribble()
        // Nobody restores more than what was chosen.
        let error = #expect(throws: SessionsError.self) { try service.restore(request) }
        #expect(error?.exitStatus == .busy)
        let offline = try service.latestRequest(for: "sda")
        #expect(try service.session(named: offline.session).record.kind == .offline)
        _ = try service.restore(offline)
        request.session = mounted.record.name.text
        request.latest = nil
        _ = try service.restore(request)
        #expect(try world.kernel.bytes(of: chained.path) == before)
        try world.mount()
        let used = #expect(throws: SessionsError.self) {
            try service.latestRequest(for: "sda")
        }
        #expect(used?.exitStatus == .busy)
    }

    @Test("A path is a path, and an activated image no archive, whatever a label says")
    func paths() throws {
        let chained = try Chained(2, isImage: true)
        let service = try chained.world.service()
        _ = try service.keeper.label(chained.names[0], chained.path.string)
        let error = #expect(throws: SessionsError.self) {
            try service.session(named: chained.path.string)
        }
        #expect(error?.exitStatus == .noInput)
        #expect(error?.description.contains("damaged") == false)
        _ = try service.keeper.label(chained.names[0], "with/a slash")
        #expect(try service.session(named: "with/a slash").record.name.text == chained.names[0])
    }

    // MARK: pruning

    @Test("Pruning deletes from the oldest on until enough is free, and a dry run nothing")
    func prune() throws {
        let chained = try Chained()
        chained.world.kernel.free = ByteCount((10 << 30) - 1)
        #expect(try chained.keeper.isShortOfSpace())
        let dry = try chained.keeper.prune(.all, isDryRun: true)
        #expect(dry.removals.map(\.session.text) == [chained.names[0]])
        #expect(try chained.left() == chained.names)
        var told: [String] = []
        let done = try chained.keeper.prune(.activated) { told.append($0.session.text) }
        #expect(told == [chained.names[0]] && done.removals.map(\.rule) == [.space])
        chained.world.kernel.free = ByteCount(50 << 30)
        #expect(try chained.keeper.prune(.all).removals.isEmpty)
        try chained.verify(1, 2, 3)
    }

    @Test("By number, what comes after a pinned one is merged into it")
    func pinned() throws {
        let chained = try Chained(5)
        try set(chained.world, "keep-last = 1")
        try chained.keeper.pin([chained.names[1]], true)
        let outcome = try chained.keeper.prune(.device(chained.path.string))
        #expect(outcome.failures.isEmpty)
        #expect(
            outcome.removals.map(\.session.text) == [0, 2, 3].map { chained.names[$0] })
        try chained.verify(1, 4)
    }

    @Test("What can't go keeps those after it, and the others go")
    func partly() throws {
        let chained = try Chained(4)
        try set(chained.world, "keep-last = 1")
        try chained.using(1) {
            let outcome = try chained.keeper.prune(.all)
            #expect(outcome.removals.map(\.session.text) == [chained.names[0]])
            #expect(outcome.failures.count == 2)
        }
        #expect(try chained.left() == [1, 2, 3].map { chained.names[$0] })
        #expect(try chained.keeper.prune(.all).failures.isEmpty)
        try chained.verify(3)
    }

    @Test("The monitor leaves sessions of devices alone that are not activated")
    func scope() throws {
        let chained = try Chained(2)
        try chained.world.service().deactivate(chained.path.string)
        chained.world.kernel.free = ByteCount(1 << 30)
        #expect(try chained.keeper.prune(.activated).removals.isEmpty)
        #expect(try !chained.keeper.isShortOfSpace())
        #expect(throws: SessionsError.self) { try chained.keeper.prune(.device("sdz")) }
        #expect(try chained.keeper.prune(.device("sda")).removals.count == 2)
        #expect(try chained.left() == [])
    }

    private func set(_ world: World, _ line: String) throws {
        try Files.makeDirectory(world.layout.configuration.removingLastComponent())
        try Files.replace(world.layout.configuration, with: Array("[retention]\n\(line)\n".utf8))
    }
}
