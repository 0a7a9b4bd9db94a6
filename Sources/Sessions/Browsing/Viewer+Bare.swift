import Block
import ExceptionStore
import Restore
import SystemPackage

/// Views of a device that isn't activated.
extension Viewer {
    func bare(
        _ session: Session, _ request: RestoreRequest, _ moment: View.Moment
    ) throws -> View {
        guard request.device != nil || session.hasOwnDevice else {
            throw SessionsError.unsuitable(
                device: request.session,
                reason: "it is none of this machine's sessions; name the device with --device")
        }
        let device = request.device.map { ByteText($0) } ?? session.record.device
        let path = try Files.resolve(device.path)
        let bare = BareRestore(
            restorer: restorer, device: device, session: session, request: request,
            control: RestoreControl())
        try refuseUsed(path, device)
        let before = moment == .beginning ? try bare.ground(path, nil) : nil
        let sources = try restorer.sources(
            of: before?.route.members ?? [], cacheBytes: Self.cacheBytes)
        let names = ViewNames(owner: session.record.activation)
        let base =
            session.isForeign
            ? catalogue.configuration.sessionsDirectory
            : session.directory.removingLastComponent()
        let workshop = try Workshop(names, in: base, lifecycle)
        let source = try workshop.source(path)
        let ground = Ground(
            moment: moment, state: View.Ground(device: ByteText(path), store: nil, taken: nil),
            number: source.number, size: session.record.size, sector: source.sector,
            sources: sources, conditions: before?.conditions ?? [],
            lifted: before?.lifted ?? [], hold: source.loop)
        return try view(
            names, over: ground, past: past(over: ground, session, workshop),
            ChunkSize(session.record.chunkSize), workshop)
    }

    /// Nobody may write to it meanwhile; other views don't.
    func refuseUsed(_ path: FilePath, _ device: ByteText) throws {
        let use: String?
        switch try kernel.status(path).kind {
        case .regular:
            use = try stack.settledHolders(of: path).first { loop in
                let uses = try stack.uses(of: FileStatus(loop).deviceNumber)
                return uses.isEmpty || !uses.allSatisfy(isView)
            }.map { "it is attached to \($0)" }
        case .blockDevice:
            let uses = try lifecycle.finder.uses(of: kernel.blockDevice(path))
            use = uses.first { !isView($0) }?.description
        default:
            throw SessionsError.unsuitable(
                device: device.text, reason: "it is neither a block device nor an image file")
        }
        guard let use else { return }
        throw SessionsError.busy(
            device: device.text, reason: use,
            advice:
                "end that, or activate the device, whose sessions can be looked into at any time")
    }

    private func isView(_ use: DeviceUse) -> Bool {
        if case .otherPath(_, let use) = use { return isView(use) }
        guard case .holder(let name) = use else { return false }
        return ByteText(name).hasPrefix(ByteText(MapperNames.viewPrefix))
    }
}
