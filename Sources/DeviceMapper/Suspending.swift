extension DeviceMapping {
    /// None.
    public func standGuard(over name: DeviceName) throws(DeviceMapperError) -> SuspendGuard {
        SuspendGuard()
    }

    /// Suspends the device, runs `body`, and resumes it whatever happens: also when this process is
    /// killed meanwhile, by a guard, without which nothing is suspended.
    ///
    /// - Parameter body: brief, and touching nothing that waits for the device: no file on it, no
    ///   udev event.
    /// - Throws: what `body` threw; or what resuming failed with, if only that did. When both fail
    ///   the error carries both.
    public func whileSuspended<Result>(
        _ name: DeviceName, in transaction: DeviceMapperTransaction, freezing: Bool = true,
        _ body: () throws -> Result
    ) throws -> Result {
        try whileSuspended([name], in: transaction, freezing: freezing, body)
    }

    /// The same of several devices: every guard stands before the first is suspended, in their order, and
    /// they are resumed in the opposite one. In between is an instant that all of them have in common.
    public func whileSuspended<Result>(
        _ names: ArraySlice<DeviceName>, in transaction: DeviceMapperTransaction,
        freezing: Bool = true, _ body: () throws -> Result
    ) throws -> Result {
        guard let name = names.last else { return try body() }
        let watch = try standGuard(over: name)
        var stuck: (any Error)?
        let result = Swift.Result {
            try whileSuspended(names.dropLast(), in: transaction, freezing: freezing) {
                try suspend(name, freezing: freezing)
                let result = Swift.Result(catching: body)
                stuck = resumed(name, in: transaction)
                return try result.get()
            }
        }
        guard let stuck else {
            watch.dismiss()
            return try result.get()
        }
        // The guard needs no memory and no cookie of udev's: what failed here may work there.
        if watch.resume() { return try result.get() }
        if case .failure(let cause) = result { throw ResumeFailure(cause: cause, resume: stuck) }
        throw stuck
    }

    /// - Returns: what it failed with, twice: a second try costs nothing, and a device left suspended stops the
    ///   machine.
    private func resumed(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) -> (any Error)? {
        for isLast in [false, true] {
            do {
                try resume(name, in: transaction, visibility: .disk)
                return nil
            } catch {
                if isLast { return error }
            }
        }
        return nil
    }
}

/// A step under a suspend failed, and resuming the device did, too: it is left suspended.
public struct ResumeFailure: Error, CustomStringConvertible {
    /// What failed under the suspend.
    public let cause: any Error
    /// What resuming failed with, the second time.
    public let resume: any Error

    /// For people: both, and the way out.
    public var description: String {
        "\(cause); then resuming failed: \(resume); the device is left suspended: "
            + "run `dmsetup resume` on it"
    }
}
