import Block
import KernelSimulation
import SystemPackage
import Testing

@testable import Sessions

/// Stores that have missed writes.
@Suite struct InvalidTests {
    /// An open session whose store the kernel has dropped; on disk its header may say nothing.
    private func invalid(isWritten: Bool) throws -> World {
        let world = try World()
        try world.activate(world.disk())
        try world.session()
        try world.mount()
        try world.scribble(2)
        try world.kernel.invalidate("dmsnapcow-sda-2", isWritten: isWritten)
        try world.scribble(2)
        try world.kernel.unmount(world.origin())
        return world
    }

    private func checkIsInvalid(_ world: World, _ what: String = "") throws {
        let sessions = try world.sessions()
        #expect(sessions.map(\.record.state) == [.closed, .invalid], "\(what)")
        for session in sessions {
            let error = #expect(throws: SessionsError.self, "\(what)") {
                try world.service().restore(RestoreRequest(session: session.record.name))
            }
            #expect(error?.exitStatus == .damaged, "\(what)")
        }
    }

    @Test("A session whose store was dropped is never restored from", arguments: [true, false])
    func closed(isWritten: Bool) throws {
        let world = try invalid(isWritten: isWritten)
        guard case .closed = try world.service().rollOver(world.activation().id) else {
            throw Unexpected("no session")
        }
        try check(world)
        try checkIsInvalid(world)
        // The next session is a good one.
        let next = try world.session()
        _ = try world.service().restore(RestoreRequest(session: next))
    }

    @Test("It stays so when it is closed by a deactivation")
    func deactivated() throws {
        let world = try invalid(isWritten: false)
        try world.service().deactivate(world.activation().path.text)
        try checkIsInvalid(world)
    }

    @Test("Seen before a reboot, it stays so though the store's header says nothing")
    func rebooted() throws {
        let world = try invalid(isWritten: false)
        let activation = try world.activation()
        try world.service().observer.markInvalid(
            activation.id, store: activation.store.number, "seen")
        world.kernel.reboot()
        for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        try check(world)
        try checkIsInvalid(world)
    }

    @Test("A mark meant for a store that has been exchanged since hits no other")
    func late() throws {
        let world = try World()
        try world.activate(world.disk())
        let before = try world.activation()
        try world.session()
        try world.mount()
        try world.service().observer.markInvalid(before.id, store: before.store.number, "seen")
        #expect(try world.activation().store.health == .sound)
        #expect(try world.sessions().map(\.record.state) == [.closed, .open])
    }

    @Test(
        "Whenever the process that closes or deactivates it dies, it is armed or gone, and invalid",
        arguments: [true, false])
    func dying(deactivates: Bool) throws {
        func act(_ world: World) throws {
            if deactivates {
                try world.service().deactivate(world.activation().path.text)
            } else {
                _ = try world.service().rollOver(world.activation().id)
            }
        }
        let whole = try invalid(isWritten: false)
        let steps = try Steps.counting { try act(whole) }.changes
        for step in 1...steps {
            let world = try invalid(isWritten: false)
            let what = "dead before step " + Steps.dying(before: step) { try act(world) }
            let service = try world.service()
            for activation in try service.activations() {
                try service.recoverAbandoned(activation.id)
                if try service.activations().isEmpty { continue }
                _ = try service.rollOver(activation.id)
            }
            try check(world, what, afterDeath: true)
            try checkIsInvalid(world, what)
        }
    }
}
