public import Block
internal import Glibc
public import Restore

/// dmsnap's domain: activated devices, their stores, and their sessions.
///
/// Each verb is one call here, and is done by the part that owns what it is about: the registry, the
/// stack of tables and loop devices, the catalogue of sessions, the life of a device, restoring. Each
/// call throws what its part documents.
public struct SnapshotService: Sendable {
    /// Where everything is.
    public let layout: Layout
    /// The configuration in force.
    public let configuration: Configuration
    /// The service's own password.
    public let password: ServicePassword
    /// What the monitor looks at.
    public let observer: Observer
    /// Closed sessions, compressed.
    public let archiver: Archiver
    /// Devices as they were, to look into.
    public var viewer: Viewer { Viewer(lifecycle: lifecycle) }
    /// Labels and pins, and sessions that go.
    public let keeper: Keeper
    /// Sessions for other machines.
    public let sender: Sender
    /// Sessions of other machines.
    public let receiver: Receiver
    /// What is run for each archive.
    public let aftercare: Aftercare
    let lifecycle: Lifecycle

    init(kernel: any Kernel, registry: Registry, configuration: Configuration) {
        layout = registry.layout
        self.configuration = configuration
        password = ServicePassword(registry: registry)
        let stack = Stack(kernel: kernel)
        let catalogue = Catalogue(
            layout: layout, configuration: configuration, registry: registry,
            now: { kernel.now() })
        lifecycle = Lifecycle(
            registry: registry, stack: stack,
            finder: DeviceFinder(kernel: kernel, registry: registry, stack: stack),
            catalogue: catalogue,
            merger: Merger(registry: registry, stack: stack, catalogue: catalogue))
        observer = Observer(lifecycle: lifecycle)
        archiver = Archiver(catalogue: catalogue)
        keeper = Keeper(lifecycle: lifecycle)
        sender = Sender(catalogue: catalogue, archiver: archiver)
        receiver = Receiver(lifecycle: lifecycle)
        aftercare = Aftercare(catalogue: catalogue)
    }

    /// Every activation, as the registry has it.
    public func activations() throws(SessionsError) -> [Activation] {
        try lifecycle.registry.activations()
    }

    /// The activation of a device or image, by any of its names; nil if it isn't activated.
    public func find(_ device: String) throws(SessionsError) -> Activation? {
        try lifecycle.finder.find(device)
    }

    /// What is mounted: `/dev/mapper/dmsnap-<name>`.
    public func path(of activation: Activation) -> ByteText {
        DeviceFinder.path(of: activation)
    }

    /// The activation that a raw block device belongs to, by what it is.
    public func claimant(of device: String) throws(SessionsError) -> Activation? {
        try lifecycle.finder.claimant(of: device)
    }

    /// Arms a block device or an image file: from its next mount on, every mount is a session; or, with an
    /// overlay, is written over it.
    public func activate(
        _ device: String, _ request: ActivationRequest = ActivationRequest()
    ) throws(SessionsError) -> ActivationOutcome {
        try lifecycle.activate(device, request)
    }

    /// Takes an activated device's tables down; gives the session that this closed, if it did.
    @discardableResult
    public func deactivate(_ device: String) throws(SessionsError) -> Session? {
        try lifecycle.deactivate(device)
    }

    /// Opens the session of a mounted device, by the name that udev has for it.
    public func openSession(_ device: String) throws(SessionsError) -> OpeningOutcome {
        try lifecycle.openSession(device)
    }

    /// Closes the session that is open, or makes one of what was written outside a mount.
    public func rollOver(_ id: String) throws(SessionsError) -> RolloverOutcome {
        try lifecycle.rollOver(id)
    }

    /// Brings one activation into a state that nobody is in the middle of.
    public func recover(_ id: String) throws(SessionsError) {
        try lifecycle.recover(id)
    }

    /// The same, unless somebody works on it.
    public func recoverAbandoned(_ id: String) throws(SessionsError) {
        try lifecycle.recoverAbandoned(id)
    }

    /// The activations whose tables aren't loaded, or lead nowhere.
    public func missing() throws(SessionsError) -> [Activation] {
        try lifecycle.missing()
    }

    /// Puts one activated device together again, if its parts are there.
    public func assemble(_ id: String) throws(SessionsError) -> AssemblyOutcome {
        try lifecycle.assemble(id)
    }

    /// Every session, the oldest first; one whose record can't be read comes as its error.
    public func sessions() throws(SessionsError) -> [Result<Session, SessionsError>] {
        try lifecycle.catalogue.sessions()
    }

    /// A session by its name, its label, its directory's path, or an archive file's.
    public func session(named text: String) throws(SessionsError) -> Session {
        try lifecycle.catalogue.session(named: text)
    }

    /// Puts back the union of the session and of every later one in its chain.
    public func restore(
        _ request: RestoreRequest, control: RestoreControl = RestoreControl()
    ) throws(SessionsError) -> RestoreOutcome {
        try Restorer(lifecycle: lifecycle).restore(request, control: control)
    }

    /// What a restore will do, to be shown before it; nothing is changed.
    ///
    /// - Throws: `noSuchSession`.
    public func preview(_ request: RestoreRequest) throws(SessionsError) -> RestorePreview {
        try Restorer(lifecycle: lifecycle).preview(request)
    }

    /// Reads everything that restoring the session would write, and checks every checksum.
    public func verify(
        _ name: String, control: RestoreControl = RestoreControl()
    ) throws(SessionsError) -> VerifyOutcome {
        try Restorer(lifecycle: lifecycle).verify(name, control: control)
    }
}
