import Block
public import SessionArchive
import SystemPackage

/// How far the monitor is with the archive that it is making.
public struct ArchivingStatus: Hashable, Sendable, Codable {
    /// The session's name.
    public let session: SessionName
    /// The chain that the session is part of.
    let chain: String
    /// What is being done.
    public let phase: ArchivePhase
    /// The bytes that this phase has done, and has to do.
    public let bytesDone: UInt64
    /// See `bytesDone`.
    public let bytesTotal: UInt64

    private enum CodingKeys: String, CodingKey {
        case session, chain, phase, bytesDone, bytesTotal
    }
}

/// Progress that another process asks for: a file, written once a second.
extension Archiver {
    /// The archive that is being made now; nil if none is.
    public func archiving() -> ArchivingStatus? {
        // A monitor that was killed has left what it wrote.
        guard (try? MonitorLauncher.isRunning(catalogue.layout)) == true else { return nil }
        return try? JSON.decode(ArchivingStatus.self, from: catalogue.layout.archiving)
    }

    /// The same control, which also keeps what `archiving` says.
    func publishing(_ control: ArchiveControl, of session: Session) -> ArchiveControl {
        let clock = ContinuousClock()
        let pace = Pace(interval: .seconds(1))
        let path = catalogue.layout.archiving
        return ArchiveControl(
            report: { progress in
                control.report(progress)
                guard pace.isDue(at: clock.now) else { return }
                let status = ArchivingStatus(
                    session: session.record.name, chain: session.record.chain,
                    phase: progress.phase, bytesDone: progress.bytesDone,
                    bytesTotal: progress.bytesTotal)
                // For people to look at: the archive doesn't depend on it.
                if let bytes = try? JSON.encode(status) { try? Files.replace(path, with: bytes) }
            }, isCancelled: control.isCancelled)
    }

    /// No archive is being made any more.
    func withdrawArchiving() {
        if Files.exists(catalogue.layout.archiving) {
            try? Files.remove(catalogue.layout.archiving)
        }
    }
}
