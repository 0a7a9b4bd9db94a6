import CInterposer

/// The changes that code under test makes, one by one: to files, and through the simulated kernel.
///
/// All of it is about the calling thread, so `body` must not wait for another one.
package enum Steps {
    /// How many there are in `body`, and how many of them change something.
    package static func counting(_ body: () throws -> Void) rethrows -> (all: Int, changes: Int) {
        interposer_begin(CInt(INTERPOSER_COUNT.rawValue), 0)
        do {
            try body()
        } catch {
            _ = end()
            throw error
        }
        return end()
    }

    /// Lets the process die before change `number` (from 1): that one and everything later fails
    /// and changes nothing any more, so that undoing doesn't either; locks are let go of, as at a
    /// death. A death before a step that changes nothing leaves the same as one before the next.
    ///
    /// - Returns: what it was about to do.
    @discardableResult
    package static func dying(before number: Int, _ body: () throws -> Void) -> String {
        interposer_begin(CInt(INTERPOSER_DIE.rawValue), number)
        try? body()
        _ = end()
        return last
    }

    /// Lets step `number` fail with EIO, and no other.
    package static func failing(at number: Int, _ body: () throws -> Void) throws {
        interposer_begin(CInt(INTERPOSER_FAIL.rawValue), number)
        defer { _ = end() }
        try body()
    }

    private static func end() -> (all: Int, changes: Int) {
        var changes = 0
        let all = unsafe interposer_end(&changes)
        return (all, changes)
    }

    /// What was done last, or what failed.
    package static var last: String {
        unsafe interposer_last().map { unsafe String(cString: $0) } ?? ""
    }

    /// Leaves out fsync(2) on this thread, or no longer; nothing here survives the machine.
    static func hurry(_ isHurried: Bool) { interposer_hurry(isHurried ? 1 : -1) }

    /// What somebody else does is no step.
    static func elsewhere<Result, Failure>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        interposer_pause()
        defer { interposer_resume() }
        return try body()
    }

    /// One step of the kernel's.
    ///
    /// - Returns: whether it may be made.
    static func next(_ what: String, changes: Bool = false) -> Bool {
        unsafe interposer_step(what, changes ? 1 : 0) == 0
    }
}
