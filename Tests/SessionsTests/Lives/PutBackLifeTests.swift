import Block
import Foundation
import KernelSimulation
import StoreTesting
import SystemPackage
import Testing

@testable import Sessions

/// Random lives of a device that is put back by itself: whenever that is done it is its base, and every session
/// that is left gives what it began with.
@Suite struct PutBackLifeTests {
    /// One life.
    private struct Life {
        let world: World
        let path: FilePath
        let seed: UInt64
        var base: [UInt8]
        var told: [String] = []
        var random: SeededGenerator
        var isNamed = false

        init(seed: UInt64) throws {
            self.seed = seed
            random = SeededGenerator(seed: seed)
            world = try World(seed: seed)
            world.kernel.keepsBeginnings = true
            let size = Int.random(in: 6...24, using: &random) << 10
            path =
                try Bool.random(using: &random)
                ? world.image(size: size) : world.disk(size: size)
            try world.activate(path)
            try world.session()
            base = try world.kernel.bytes(of: path)
            try world.service().set(
                path.string,
                PolicyChange(
                    restoreAt: Bool.random(using: &random) ? .unmount : .boot,
                    keep: Int.random(in: 0...2, using: &random)))
        }

        private mutating func chance(_ part: Int, of whole: Int) -> Bool {
            Int.random(in: 0..<whole, using: &random) < part
        }

        private var policy: RestorePolicy {
            get throws { try #require(try world.activation().restorePolicy) }
        }

        /// What a session begins with; nil of one that a boot made, whose store was under no table.
        private func beginning(_ record: SessionRecord) -> [UInt8]? {
            world.kernel.beginnings["DMSNAP-\(record.activation)-cow-\(record.store)"]
        }

        private func refusable(_ body: () throws -> Void) throws {
            do {
                try body()
            } catch let error as SessionsError where [.busy, .usage].contains(error.exitStatus) {
                // Mounted, merged, pinned, needed.
            }
        }

        /// What the monitor does, until it has nothing to do; a process may die in it.
        private mutating func monitor() throws {
            let death = chance(1, of: 3) ? Int.random(in: 1...160, using: &random) : nil
            if let death {
                told.append("die \(death)")
                Steps.dying(before: death) { try settle() }
                for one in try world.service().activations() {
                    try world.service().recover(one.id)
                }
                if let failure = try world.service().keeper.recover().first { throw failure }
            }
            try settle()
        }

        private func settle() throws {
            for _ in 0..<60 {
                let service = try world.service()
                for one in try service.activations() { try service.recoverAbandoned(one.id) }
                for one in try service.missing() { _ = try service.assemble(one.id) }
                for one in try service.observer.watched() {
                    if one.merge?.isComplete == true { try service.recover(one.activation.id) }
                    if one.uses.isEmpty {
                        _ = try service.rollOver(one.activation.id)
                    } else {
                        _ = try service.observer.openSession(one)
                    }
                }
                let now = try world.activation()
                if now.merge != nil { continue }
                if now.isToBePutBack {
                    guard try service.observer.watched().allSatisfy(\.uses.isEmpty) else { return }
                    _ = try service.putBack(now.id)
                } else {
                    return try service.dropRoundTrips(now.id)
                }
            }
        }

        private mutating func boot() throws {
            told.append("boot")
            world.kernel.mergeSpeed = 4
            world.kernel.reboot()
            if chance(1, of: 3) {
                let death = Int.random(in: 1...120, using: &random)
                told.append("die \(death)")
                Steps.dying(before: death) { try assemble() }
                world.kernel.reboot()
            }
            try assemble()
            if try world.activation().merge != nil { try settle() }
            try check("after a boot", isPutBack: true)
            try settle()
        }

        private func assemble() throws {
            for (_, result) in try world.service().assembleAll() { _ = try result.get() }
        }

        mutating func step() throws {
            let service = try world.service()
            let name = try world.origin()
            switch Int.random(in: 0..<14, using: &random) {
            case 0...4:
                told.append("mount")
                try world.mount()
                if chance(4, of: 5) { try world.scribble(2) }
                if chance(1, of: 4) {
                    told.append("checkpoint")
                    try refusable { _ = try service.checkpoint(path.string) }
                    try world.scribble(1)
                }
                if chance(1, of: 5) { return try boot() }
                world.kernel.unmount(name)
                world.kernel.mergeSpeed = chance(1, of: 3) ? 0 : 4
                if chance(1, of: 3) {
                    // One more before the monitor has looked, or in the middle of what it does.
                    if chance(1, of: 2) { _ = try? settle() }
                    let isSeen = chance(1, of: 2)
                    told.append(isSeen ? "mount again" : "mount again, unseen")
                    if isSeen { try world.mount() } else { try world.kernel.mount(name) }
                    try world.scribble(1)
                    if chance(1, of: 4) { return try boot() }
                    world.kernel.unmount(name)
                }
                world.kernel.mergeSpeed = 4
                try monitor()
            case 5:
                told.append("write")
                try world.scribble(1)
                try monitor()
            case 6, 7: try boot()
            case 8, 9:
                guard let one = try world.sessions().randomElement(using: &random) else { return }
                told.append("restore \(one.record.name)")
                try monitor()
                guard try !policy.isDue || policy.at == .boot,
                    try world.sessions().contains(where: { $0.record.name == one.record.name }),
                    one.record.continues == nil
                else { return }
                let wasDue = try policy.isDue
                _ = try service.restore(RestoreRequest(session: one.record.name))
                if !isNamed, !wasDue { base = try world.kernel.bytes(of: path) }
            case 10:
                guard let one = try world.sessions().randomElement(using: &random) else { return }
                told.append("delete \(one.record.name)")
                try refusable { try service.keeper.delete([one.record.name.text]) }
            case 11:
                guard let one = try world.sessions().randomElement(using: &random) else { return }
                told.append("pin \(one.record.name)")
                try service.keeper.pin([one.record.name.text], Bool.random(using: &random))
            case 12:
                told.append("set --base last")
                try service.set(path.string, PolicyChange(base: .last))
                base = try world.kernel.bytes(of: path)
                isNamed = false
            default:
                guard let one = try world.sessions().randomElement(using: &random),
                    one.record.continues == nil, let begun = beginning(one.record)
                else { return }
                told.append("set --base \(one.record.name)")
                try service.set(
                    path.string, PolicyChange(base: .session(one.record.name.text), keep: 1))
                base = begun
                isNamed = true
            }
            try check("after \(told.last ?? "")", isPutBack: false)
        }

        /// - Parameter isPutBack: whether it is its base now, whatever the policy.
        private func check(_ what: String, isPutBack: Bool) throws {
            let faults = try world.faults(afterDeath: true)
            if !faults.isEmpty { throw Unexpected("\(what): \(faults)") }
            let policy = try policy
            if let failure = policy.failure { throw Unexpected("\(what): \(failure)") }
            let now = try world.kernel.bytes(of: path)
            if isPutBack || (!isNamed && !policy.isDue), now != base {
                throw Unexpected("\(what): it is not its base: \(policy)")
            }
        }

        /// Goes back through every session, the latest first, to a copy of the device.
        func goBack() throws {
            let copy = world.directory.path.appending("copy")
            for session in try world.sessions().reversed() where session.record.continues == nil {
                let record = session.record
                if record.closedAt == nil { continue }
                try Files.replace(copy, with: world.kernel.bytes(of: path))
                var request = RestoreRequest(session: record.name)
                request.device = copy.string
                guard try world.service().restore(request).isProven,
                    try beginning(record).map({ try $0 == Files.read(copy) }) ?? true
                else { throw Unexpected("session \(record.name) gives something else") }
            }
        }
    }

    private func problem(_ seed: UInt64) -> String? {
        var told: [String] = []
        do {
            var life = try Life(seed: seed)
            defer { told = life.told }
            do {
                for _ in 0..<12 { try life.step() }
                try life.goBack()
                return nil
            } catch {
                return "DMSNAP_SEED=\(seed): \(life.told.joined(separator: ", ")): \(error)"
            }
        } catch {
            return "DMSNAP_SEED=\(seed): \(told): \(error)"
        }
    }

    @Test("Whatever happens to it, it is put back to its base, and every session restores")
    func random() {
        let environment = ProcessInfo.processInfo.environment
        let given = environment["DMSNAP_SEED"].flatMap { UInt64($0) }
        let first = given ?? UInt64(Date().timeIntervalSince1970 / 86400) * 1_000_000
        let count = environment["DMSNAP_LIVES"].flatMap { UInt64($0) } ?? (given == nil ? 24 : 1)
        var failures = 0
        for seed in first..<first + count where failures < 5 {
            guard let problem = problem(seed) else { continue }
            Issue.record("\(problem)")
            failures += 1
        }
    }
}
