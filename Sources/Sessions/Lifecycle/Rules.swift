import Block
import ExceptionStore
import SystemPackage

/// What became of a rule of the configuration.
public enum RuleOutcome: Sendable {
    /// The device is activated now.
    case activated(Activation)
    /// It was activated before, and now is given up at another time.
    case changed(Activation)
    /// It was activated so before.
    case alreadySo(Activation)
    /// It is in use: why. It is activated when that is over.
    case waits(String)
    /// It isn't there.
    case notThere
}

/// Devices that are activated by the configuration alone: nobody is asked for the password.
extension Lifecycle {
    /// Makes of a device what its rule says, if it is there.
    ///
    /// - Throws: what `activate` throws; `unsuitable` where it is activated otherwise.
    func apply(_ rule: DeviceRule) throws(SessionsError) -> RuleOutcome {
        guard let path = rule.path(in: registry.layout) else { return .notThere }
        let resolved = try asSessionsError { try Files.resolve(path) }
        if let known = try finder.find(resolved.string) {
            let wanted = rule.request.restoreAt ?? rule.request.putBackAt
            var request = rule.request
            if request.restoreAt != nil { request.mode = .anyOverlay }
            request.putBackAt = nil
            request.keep = nil
            try requireSame(request, as: known, path.string)
            let keep = rule.request.keep
            let isTimed = wanted == nil || wanted == known.timeOfRestore
            let isKept = keep == nil || keep == known.restorePolicy?.keep
            if isTimed && isKept { return .alreadySo(known) }
            let change = PolicyChange(restoreAt: wanted, keep: keep)
            return .changed(try set(resolved.string, change))
        }
        switch try activateWhenUnmounted(path.string, rule.request) {
        case .done(.activated(let activation)): return .activated(activation)
        case .done(.alreadyActive(let activation)): return .alreadySo(activation)
        case .waits(let reason): return .waits(reason)
        }
    }
}

extension SnapshotService {
    /// Makes of a device what its rule says, if it is there.
    public func apply(_ rule: DeviceRule) throws(SessionsError) -> RuleOutcome {
        try lifecycle.apply(rule)
    }

    /// Whether a rule's device is there.
    public func isThere(_ rule: DeviceRule) -> Bool { rule.path(in: layout) != nil }
}
