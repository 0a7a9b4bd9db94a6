import StoreTesting

/// A history as it is lived: each step is done on the machine and in the model, and then both must agree.
package struct Life {
    /// Why a life is no good.
    package struct Problem: Error, CustomStringConvertible {
        /// After which step, and what.
        package let description: String
    }

    let machine: any LifeMachine
    var model: Model
    /// What was done and looked at.
    package private(set) var figures = Figures()
    var random: SeededGenerator
    /// The change before which the next verb's process dies.
    private var death: Int?
    /// A process has died: it may have left a lock.
    private var hasDied = false

    /// A life on a machine that nothing has happened to.
    ///
    /// - Parameter seed: chooses which sessions are looked at.
    package init(on machine: any LifeMachine, seed: UInt64) throws {
        self.machine = machine
        model = Model(device: try machine.contents())
        random = SeededGenerator(seed: seed ^ 0x11fe)
    }

    /// Lives it, and at the end goes back through every session.
    ///
    /// - Throws: a `Problem`.
    package mutating func live(_ steps: [Step]) throws {
        for (index, step) in steps.enumerated() {
            try explaining("step \(index + 1), \(step)") {
                try take(step)
                figures.steps += 1
            }
        }
        try explaining("going back at the end") { try goBack() }
        figures.lives += 1
    }

    private func explaining(_ what: String, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch let problem as Problem {
            throw Problem(description: "\(what): \(problem)")
        } catch {
            throw Problem(description: "\(what): \(error)")
        }
    }

    func fail(_ what: String) -> Problem { Problem(description: what) }

    private mutating func take(_ step: Step) throws {
        if step.act == .die {
            death = step.number
            return
        }
        if let number = death, step.isVerb {
            death = nil
            if try die(step, before: number) { return }
        }
        try act(step)
        try look(after: step)
    }

    /// What holds after every step.
    mutating func look(after step: Step, isContinued: Bool = true) throws {
        // A rescue system's write may break the chain at the assembly, and activating may go on with it.
        let mayBreak =
            [.activate, .assemble, .deactivate].contains(step.act) || !isContinued
            || model.births.contains(where: \.mayBreak)
        var problems = model.observe(try machine.sessions(), isContinued: !mayBreak)
        let place = try machine.place()
        if (place != nil) != (model.phase != .plain) {
            problems.append(place == nil ? "it is not activated" : "it is activated")
        }
        if let place, let old = model.position, place != old, !mayBreak {
            problems.append("its place in the chain is \(place), and was \(old)")
        }
        model.position = place
        if model.phase == .armed { problems += try machine.faults(afterDeath: hasDied) }
        problems += try machine.remains().map { "\($0) is still there" }
        if isQuiet, try machine.contents() != model.device {
            problems.append("the device holds something else")
        }
        if let problem = problems.first { throw fail(problem) }
        try tryOne()
    }

    /// Whether the device is what the model says: nobody has it mounted, and nothing is half back.
    var isQuiet: Bool { isReadable && !(model.isMerging && model.phase == .off) }

    /// Whether a reader sees what was written: not while a real file system has it mounted.
    var isReadable: Bool { !model.isMounted || machine.canReadMounted }

    /// Restores one session, whichever, to a copy of the device.
    private mutating func tryOne() throws {
        guard isQuiet, !model.isMerging, !model.sessions.isEmpty,
            Int.random(in: 0..<3, using: &random) == 0
        else { return }
        try tryOnCopy(model.sessions[Int.random(in: 0..<model.sessions.count, using: &random)])
    }

    mutating func tryOnCopy(_ session: Model.Known) throws {
        let verdict = model.verdict(
            session, target: model.device, accepting: false, comparesAll: machine.comparesAll)
        do {
            let result = try machine.restore(session.listed, .plain, copy: model.device)
            try judge(session, verdict, result, gave: machine.copied(), on: "a copy")
        } catch let refusal as Refusal {
            try judge(session, verdict, refusal, on: "a copy")
        }
    }

    /// The end of a life: every session that claims to be whole gives what it began with, through the
    /// armed device from the latest to the oldest, and back again.
    private mutating func goBack() throws {
        if model.phase == .plain { try takeAndLook(Step(.activate)) }
        if model.phase == .off { try takeAndLook(Step(.assemble)) }
        if model.isMounted { try takeAndLook(Step(.unmount)) }
        if model.isMerging { try takeAndLook(Step(.merge, 1_000_000)) }
        try takeAndLook(Step(.monitor))
        for name in model.sessions.map(\.listed.name).reversed() {
            guard let index = model.sessions.firstIndex(where: { $0.listed.name == name })
            else { continue }
            try takeAndLook(Step(.restore, index))
        }
        if model.undo != nil { try takeAndLook(Step(.undo)) }
        try takeAndLook(Step(.deactivate))
    }

    private mutating func takeAndLook(_ step: Step) throws {
        do {
            try act(step)
            try look(after: step)
        } catch {
            throw Problem(description: "\(step): \(error)")
        }
    }

    /// Counts what was seen.
    mutating func count(_ path: WritableKeyPath<Figures, Int>) { figures[keyPath: path] += 1 }

    /// The process of a verb dies. What it had done by then is read off the machine: each session that
    /// there is must go back to what its store's beginning saw.
    ///
    /// - Returns: false if it didn't die, and the step is done.
    private mutating func die(_ step: Step, before number: Int) throws -> Bool {
        guard !model.isMounted else { return false }
        let going = try step.keepsDevice ? mayGo(by: step) : []
        var lived = self
        var seen = self
        // What the model comes to beside a process that dies is forgotten.
        let isDead = try machine.dying(before: number) {
            try lived.act(step)
        } halfway: {
            if step.keepsDevice { try seen.lookHalfway(at: going, after: step) }
        }
        guard isDead else {
            self = lived
            try look(after: step)
            return true
        }
        figures = seen.figures
        random = seen.random
        hasDied = true
        count(\.deaths)
        if step.keepsDevice { count(\.deletionDeaths) }
        let device = try machine.contents()
        let mayChange =
            [.restore, .accept, .undo, .online, .reset].contains(step.act) || model.isCutMerging
        if !mayChange, device != model.device { throw fail("the device holds something else") }
        if mayChange, model.phase == .plain { model.mayBeHalfway = true }
        let listed = try machine.sessions()
        var problems = model.note(goneOf: going, pinned: step, in: listed)
        problems += model.adopt(
            listed, device: device, position: try machine.place(), keepsDevice: step.keepsDevice,
            beginning: machine.beginning)
        if let problem = problems.first { throw fail(problem) }
        try look(after: step, isContinued: false)
        return true
    }
}
