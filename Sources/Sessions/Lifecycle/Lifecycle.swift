import Block
import DeviceMapper
import SystemPackage

/// The life of an activated device: each change of it that takes several steps, one file each.
///
/// A change is written into the registry before its first step, holds the activation's operation lock,
/// and is undone or gone on with by `recover` when its process died halfway.
struct Lifecycle: Sendable {
    let registry: Registry
    let stack: Stack
    let finder: DeviceFinder
    let catalogue: Catalogue
    let merger: Merger
    /// Whether an exchange puts down the instants that a group has in common; not while its devices are between two
    /// of them.
    var notesInstants = true

    var kernel: any Kernel { stack.kernel }
    var configuration: Configuration { catalogue.configuration }

    /// What the device looks like now; nil where it isn't there.
    ///
    /// Where there is an origin, it is what is looked at: a device that has grown is longer than what a
    /// restore will be compared with.
    func present(_ activation: Activation) throws -> Fingerprint? {
        let origin = try stack.isLoaded(activation) ? MapperNames.origin(activation).path : nil
        guard let path = origin.map({ FilePath($0) }) ?? (try? stack.source(activation).path)
        else { return nil }
        return try kernel.look(path, image: activation.image)
    }

    /// An activation that a session can end and another begin on.
    ///
    /// - Parameter advice: what to do afterwards: `then restore`.
    func ready(_ current: Activation, _ advice: String) throws -> Activation {
        guard let activation = try recover(current) else {
            throw SessionsError.notActivated(current.path.text)
        }
        try requireAssembled(activation, advice)
        try merger.refuse(activation, advice)
        try refuseOverlay(activation, advice)
        return activation
    }

    /// After a boot, before it is assembled, nothing would capture what is written to the device; and what
    /// is missing then is not to be taken for what somebody took away.
    ///
    /// - Parameter advice: what to do afterwards: `then restore`.
    func requireAssembled(_ activation: Activation, _ advice: String) throws {
        if case .live = try stack.condition(activation) { return }
        throw SessionsError.busy(
            device: activation.path.text, reason: "it is activated, and not put together yet",
            advice: "run `dmsnap assemble \(activation.path)`, \(advice)")
    }
}
