public import Block
import DeviceMapper
import ExceptionStore
import SystemPackage

/// A device that a command works on and that nothing is written to: a view of the device as it is now, and
/// what is written goes with the view.
public struct Trial: Sendable {
    /// The device as it was named.
    public let device: ByteText
    /// What the command sees.
    public let view: View
    /// Whether it is activated, and what is written to it captured.
    public let isActivated: Bool
    /// Whether somebody else may write to the device meanwhile.
    public let isShared: Bool
    let path: FilePath
    let image: FilePath?
    let before: Fingerprint
}

extension Viewer {
    /// Makes a view of a device as it is now, activated or not, to be written to and thrown away.
    ///
    /// What is written takes room in the sessions' directory, but none of what `store.reserve` keeps for
    /// others.
    ///
    /// - Throws: `noSuchDevice`; `unsuitable`; `noRoom`; `busy` where it isn't activated and is in use.
    public func trial(of name: String) throws(SessionsError) -> Trial {
        try asSessionsError {
            if let activation = try lifecycle.finder.find(name) {
                return try trial(of: activation)
            }
            let device = ByteText(name)
            let path = try Files.resolve(FilePath(name))
            try refuseUsed(path, device)
            let status = try kernel.status(path)
            let image = status.kind == .regular ? path : nil
            let size =
                image != nil ? status.size.inWholeSectors : try kernel.blockDevice(path).size
            guard size.bytes > 0 else {
                throw SessionsError.unsuitable(device: name, reason: "it is empty")
            }
            let names = ViewNames(owner: "trial")
            let workshop = try Workshop(
                names, in: catalogue.configuration.sessionsDirectory, lifecycle)
            let before = try kernel.look(path, image: image)
            let source = try workshop.source(path)
            let ground = Ground(
                moment: .now, state: View.Ground(device: ByteText(path), store: nil, taken: nil),
                number: source.number, size: size, sector: source.sector, sources: [],
                conditions: [], lifted: [], hold: source.loop)
            let view = try view(
                names, over: ground, past: nil, catalogue.configuration.chunkSize, workshop,
                isLimited: true)
            return Trial(
                device: device, view: view, isActivated: false, isShared: false, path: path,
                image: image, before: before)
        }
    }

    /// Lets go of the view, waits until the kernel has taken it away, and looks at the device.
    ///
    /// - Returns: whether the device is what it was; false where nobody can tell, since others use it.
    /// - Throws: `changedMeanwhile` where it isn't.
    public func end(_ trial: Trial) throws(SessionsError) -> Bool {
        try end(trial.view)
        if trial.isShared { return false }
        return try asSessionsError {
            let after = try kernel.look(trial.path, image: trial.image)
            guard after.agrees(with: trial.before), after.file == trial.before.file else {
                throw SessionsError.changedMeanwhile(device: trial.device.text)
            }
            return true
        }
    }

    /// Whether what was written has no more room, so that whoever wrote has got errors.
    public func isFull(_ trial: Trial) throws(SessionsError) -> Bool {
        try asSessionsError {
            let name = trial.view.passing.name
            guard let status = try stack.deviceMapper.status(name).first else { return true }
            return SnapshotStatus(line: status.parameters) == .invalid
        }
    }

    private func trial(of activation: Activation) throws -> Trial {
        let path = FilePath(DeviceFinder.path(of: activation).text)
        let (names, workshop, ground) = try ground(of: activation, present)
        let isShared = try isShared(activation)
        let before = try kernel.look(path, image: activation.image)
        let view = try view(
            names, over: ground, past: nil, stack.chunkSize(activation), workshop, isLimited: true)
        return Trial(
            device: activation.path, view: view, isActivated: true, isShared: isShared, path: path,
            image: activation.image, before: before)
    }

    /// Whether somebody else uses it. What has it open for a moment, as udev does to probe it, is waited for.
    private func isShared(_ activation: Activation) throws -> Bool {
        for _ in 0..<40 {
            guard let origin = try stack.origin(activation), origin.openCount > 0 else {
                return false
            }
            if try !stack.uses(of: origin.number).isEmpty { return true }
            kernel.pause(milliseconds: 50)
        }
        return true
    }
}
