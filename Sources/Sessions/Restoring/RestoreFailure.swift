import ExceptionStore
import Restore

extension RestoreError {
    /// The engine's failure as the user's.
    ///
    /// - Parameter isForeign: the session is none of this machine's, so nothing is remembered of how
    ///   far its restore came.
    func failure(
        _ session: Session, _ device: String, isForeign: Bool = false
    ) -> SessionsError {
        let name = session.record.name.text
        switch reason {
        case .cancelled:
            return .interrupted(
                session: name, device: device, detail: "\(self)",
                advice: isForeign && targetTouched
                    ? "the same command with --accept-writes completes it"
                    : "the same command completes it")
        case .targetSizeDiffers, .originSizesDiffer, .noSources:
            return .unsuitable(device: device, reason: "\(self)")
        case .damaged:
            return .damagedChunks(session: name, reason: "\(self)")
        case .changedSinceVerified, .source(_, _, _, .damaged), .source(_, _, _, .ended):
            guard !targetTouched else { break }
            return .damagedStore(session: name, reason: "\(self)")
        default: break
        }
        return .restoreFailed(session: name, device: device, reason: "\(self)")
    }
}
