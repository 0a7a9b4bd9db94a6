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
        let watch = try standGuard(over: name)
        do {
            try suspend(name, freezing: freezing)
        } catch {
            watch.dismiss()
            throw error
        }
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try body())
        } catch {
            result = .failure(error)
        }
        do {
            try resume(name, in: transaction, visibility: .disk)
            watch.dismiss()
        } catch {
            // A second try costs nothing, and a device left suspended stops the machine.
            do {
                try resume(name, in: transaction, visibility: .disk)
                watch.dismiss()
            } catch {
                // The guard needs no memory and no cookie of udev's: what failed here may work there.
                if watch.resume() { return try result.get() }
                if case .failure(let cause) = result {
                    throw ResumeFailure(cause: cause, resume: error)
                }
                throw error
            }
        }
        return try result.get()
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
