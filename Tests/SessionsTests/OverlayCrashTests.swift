import Block
import ExceptionStore
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// A process dies before each of its steps with a device under an overlay: what was written is whole or gone, and
/// never a mixture, whatever comes then.
@Suite struct OverlayCrashTests {
    enum Act: String, CaseIterable, CustomTestStringConvertible {
        case activate, discard, commit, deactivate, unmount, assemble, assembleAfterwards
        var testDescription: String { rawValue }

        var restoreAt: RestoreAt {
            switch self {
            case .unmount: .unmount
            case .assembleAfterwards: .boot
            default: .never
            }
        }
    }

    /// One run: the device, what it was, and what was written over it.
    private struct Run {
        let act: Act
        let world: World
        let path: FilePath
        let before: [UInt8]
        var written: [UInt8]

        init(_ act: Act, seed: UInt64, isImage: Bool) throws {
            self.act = act
            world = try World(seed: seed)
            path = try isImage ? world.image(size: 24 << 10) : world.disk(size: 24 << 10)
            before = try world.kernel.bytes(of: path)
            written = before
            if act == .activate { return }
            try activate()
            if act == .deactivate { return }
            let name = try world.origin()
            try world.kernel.mount(name)
            try world.scribble(3)
            written = try world.kernel.contents(ofMapped: name)
            world.kernel.unmount(name)
            if act == .assemble || act == .assembleAfterwards { world.kernel.reboot() }
        }

        func activate() throws {
            _ = try world.service().activate(
                path.string, .init(.overlay(act.restoreAt), chunkSize: .init(parsing: "1K")))
        }

        func run() throws {
            let service = try world.service()
            switch act {
            case .activate: try activate()
            case .discard: _ = try service.discard(path.string)
            case .commit: _ = try service.commit(path.string)
            case .deactivate: _ = try service.deactivate(path.string)
            case .unmount: _ = try service.rollOver(world.activation().id)
            case .assemble, .assembleAfterwards: try assemble()
            }
        }

        func assemble() throws {
            for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        }

        /// What the monitor does when it starts.
        func monitor() throws {
            let service = try world.service()
            for activation in try service.activations() { try service.recover(activation.id) }
            for activation in try service.missing() { _ = try service.assemble(activation.id) }
        }

        func check(_ what: String, isWhole: Bool) throws {
            let faults = try world.faults(afterDeath: true)
            if !faults.isEmpty { Issue.record("\(what): \(faults)") }
            let device = try world.kernel.bytes(of: path)
            guard let activation = try world.service().activations().first else {
                if device != before { Issue.record("\(what): the device isn't what it was") }
                return
            }
            let shown = try world.kernel.contents(ofMapped: world.origin(activation))
            switch act {
            case .commit:
                if shown != written { Issue.record("\(what): it shows something else") }
                if isWhole, device != written { Issue.record("\(what): it is not committed") }
            case .discard, .unmount, .assembleAfterwards:
                let allowed = isWhole ? [before] : [before, written]
                if !allowed.contains(shown) { Issue.record("\(what): it shows a mixture") }
                if device != before { Issue.record("\(what): the device was written") }
            case .activate, .deactivate, .assemble:
                if shown != written { Issue.record("\(what): it shows something else") }
                if device != before { Issue.record("\(what): the device was written") }
            }
        }
    }

    @Test(
        "Whenever its process dies, nothing is torn, suspended or orphaned",
        arguments: Act.allCases, [false, true])
    func dying(_ act: Act, isImage: Bool) throws {
        let whole = try Run(act, seed: 1, isImage: isImage)
        let steps = try Steps.counting { try whole.run() }.changes
        try whole.check("uninterrupted", isWhole: true)
        #expect(steps > 3)
        for step in 1...steps {
            for afterwards in CrashTests.Afterwards.allCases {
                let run = try Run(act, seed: UInt64(step), isImage: isImage)
                let last = Steps.dying(before: step) { try run.run() }
                let what = "dead before step \(step), \(last); then \(afterwards.rawValue)"
                do {
                    if afterwards == .reboot { run.world.kernel.reboot() }
                    if afterwards != .again {
                        try run.monitor()
                        try run.check(what, isWhole: false)
                    }
                    try again(run)
                    try run.check(what + ", and again", isWhole: true)
                } catch {
                    Issue.record("\(what): \(error)")
                    return
                }
            }
        }
    }

    private func again(_ run: Run) throws {
        do {
            try run.run()
        } catch SessionsError.notActivated where run.act == .deactivate {
            // It had been done.
        }
    }
}
