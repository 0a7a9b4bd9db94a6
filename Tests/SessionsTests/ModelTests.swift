import Block
import ExceptionStore
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Random lives of a device, against a model that is nothing but copies of its contents.
@Suite struct ModelTests {
    @Test(
        "Restoring any session gives the contents from before it, exactly",
        arguments: [(1, false), (2, true), (3, false), (4, true), (5, false)] as [(UInt64, Bool)])
    func random(seed: UInt64, isImage: Bool) throws {
        let life = try Life(seed: seed, isImage: isImage)
        for _ in 0..<90 { try life.step() }
        try life.goBack()
        #expect(life.restores > 20)
        #expect(life.deletions > 0)
    }
}

/// One device's life.
private final class Life {
    let world: World
    let path: FilePath
    var restores = 0
    var deletions = 0
    /// Contents when each session's store was armed; only of those that can be restored.
    private var baselines: [(session: String, bytes: [UInt8])] = []
    /// Sessions that a restore past the chain has made unfit.
    private var undone: [String] = []
    private var armed: [UInt8]

    init(seed: UInt64, isImage: Bool) throws {
        world = try World(seed: seed)
        // An image's last bytes, which make no sector, are nobody's.
        path = try isImage ? world.image(size: 40_000) : world.disk(size: 40 << 10)
        armed = try world.kernel.bytes(of: path)
        try activate()
    }

    private func chance(_ count: Int) -> Int { Int.random(in: 0..<count, using: &world.generator) }

    private func now() throws -> [UInt8] { try world.kernel.bytes(of: path) }

    private func activate() throws {
        let chunk = try ChunkSize(SectorCount(1 << UInt64(chance(4))))
        guard case .activated = try world.service().activate(path.string, .init(chunkSize: chunk))
        else {
            throw Unexpected("an activation")
        }
        armed = try now()
    }

    private func deactivate() throws {
        if let session = try world.service().deactivate(path.string) { note(session) }
    }

    private func note(_ session: Session) {
        baselines.append((session.record.name.text, armed))
    }

    func step() throws {
        switch chance(12) {
        case 0...3:
            try world.mount()
            try world.scribble(chance(6))
            try rollOver(unmounts: true)
        case 4, 5:
            try world.scribble(1 + chance(2))
            try rollOver(unmounts: false)
        case 6, 7: try restore(chance(max(1, baselines.count)))
        case 8:
            try deactivate()
            if chance(3) == 0 { try restoreBare() }
            try activate()
        case 9: try archive()
        case 10: try delete(chance(max(1, baselines.count)))
        default: try reboot()
        }
        if let problem = try world.faults().first { Issue.record("\(problem)") }
    }

    private func rollOver(unmounts: Bool) throws {
        let outcome =
            try unmounts ? world.unmount() : world.service().rollOver(world.activation().id)
        switch outcome {
        case .closed(let session): note(session)
        case .dropped: break
        case .inUse, .held, .nothingToDo, .discarded: throw Unexpected("\(outcome)")
        }
        armed = try now()
    }

    private func reboot() throws {
        let isMounted = chance(2) == 0
        if isMounted { try world.mount() }
        if chance(2) == 0 { try world.scribble(2) }
        world.kernel.reboot()
        for (_, result) in try world.service().assembleAll() {
            guard case .assembled(let session) = try result.get() else {
                throw Unexpected("\(result)")
            }
            if let session { note(session) }
        }
        armed = try now()
    }

    private func archive() throws {
        let service = try world.service()
        for session in try service.archiver.unarchived() { try service.archiver.archive(session) }
    }

    /// A session that others need is merged into the one before it; those go back as before.
    private func delete(_ index: Int) throws {
        guard baselines.indices.contains(index) else { return }
        try world.service().keeper.delete([baselines.remove(at: index).session])
        deletions += 1
    }

    private func restore(_ index: Int) throws {
        guard baselines.indices.contains(index) else { return }
        let (session, bytes) = baselines[index]
        let before = try now()
        let outcome = try world.service().restore(RestoreRequest(session: session))
        restores += 1
        if try now() != bytes { Issue.record("restoring \(session) gave something else") }
        if let undo = outcome.undo { baselines.append((undo.text, before)) }
        armed = bytes
        for name in undone.suffix(2) {
            #expect(throws: SessionsError.self) {
                try world.service().restore(RestoreRequest(session: name))
            }
        }
    }

    /// Not captured: the later sessions have nothing to start from any more.
    private func restoreBare() throws {
        guard !baselines.isEmpty else { return }
        let index = chance(baselines.count)
        let (session, bytes) = baselines[index]
        var request = RestoreRequest(session: session)
        // The device's own name, given or not, is the same.
        if chance(2) == 0 { request.device = path.string }
        _ = try world.service().restore(request)
        restores += 1
        if try now() != bytes { Issue.record("restoring \(session) gave something else") }
        undone += baselines[(index + 1)...].map(\.session)
        baselines.removeSubrange((index + 1)...)
        for name in undone.suffix(2) {
            #expect(throws: SessionsError.self) {
                try world.service().restore(RestoreRequest(session: name))
            }
        }
    }

    /// To the very beginning, through every session.
    func goBack() throws {
        for index in baselines.indices.reversed() { try restore(index) }
        try deactivate()
        #expect(world.kernel.remains == [])
    }
}
