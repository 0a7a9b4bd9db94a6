/// What there is: nothing is changed.
extension SnapshotService {
    private var reporter: Reporter { Reporter(lifecycle: lifecycle, archiver: archiver) }

    /// The sessions of one device, or of all.
    public func sessions(
        of device: String?
    ) throws(SessionsError) -> [Result<Session, SessionsError>] {
        try reporter.sessions(of: device)
    }

    /// The latest session of a device, whatever its state; one that is not activated any more included.
    ///
    /// - Throws: `noSuchSession` if there is none.
    public func latestSession(of device: String) throws(SessionsError) -> Session {
        try reporter.latestSession(of: device)
    }

    /// What restores the latest session, when what is over of the device, and not closed yet, has become one.
    ///
    /// - Throws: `noSuchSession`; `busy` while the device is in use.
    public func latestRequest(for device: String) throws(SessionsError) -> RestoreRequest {
        try Restorer(lifecycle: lifecycle).latestRequest(for: device, reporter)
    }

    /// What puts a device back to before its last mount; nil where it was put back since.
    ///
    /// - Throws: `noSuchSession` if it has none; `busy` while it is in use.
    public func resetRequest(for device: String) throws(SessionsError) -> RestoreRequest? {
        try Restorer(lifecycle: lifecycle).resetRequest(for: device, reporter)
    }

    /// What a list of sessions shows of one.
    public func summary(of session: Session) -> SessionSummary {
        reporter.summary(of: session)
    }

    /// Every activated device, or the one named.
    public func status(_ device: String? = nil) throws(SessionsError) -> [DeviceStatus] {
        try reporter.status(device)
    }
}
