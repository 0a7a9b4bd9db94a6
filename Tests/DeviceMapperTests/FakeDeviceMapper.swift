import Block
import DeviceMapper
import Synchronization
import SystemPackage

/// Records what it is asked for, and fails where it is told to; it simulates no device.
final class FakeDeviceMapper: DeviceMapping {
    enum Call: Hashable {
        case standGuard(DeviceName)
        case suspend(DeviceName, freezing: Bool)
        case resume(DeviceName, UdevVisibility)
        /// What the test itself does in between.
        case body
    }

    private struct State {
        var calls: [Call] = []
        var guardFailure: DeviceMapperError?
        var suspendFailure: DeviceMapperError?
        /// Nil if every device's suspend fails.
        var unsuspendable: DeviceName?
        /// What each resume fails with, the first one's first; none are left: it succeeds.
        var resumeFailures: [DeviceMapperError] = []
    }

    private let state: Mutex<State>

    init(
        guardFailure: DeviceMapperError? = nil, suspendFailure: DeviceMapperError? = nil,
        of unsuspendable: DeviceName? = nil, resumeFailures: [DeviceMapperError] = []
    ) {
        state = Mutex(
            State(
                guardFailure: guardFailure, suspendFailure: suspendFailure,
                unsuspendable: unsuspendable, resumeFailures: resumeFailures))
    }

    var calls: [Call] { state.withLock { $0.calls } }

    func note(_ call: Call) { state.withLock { $0.calls.append(call) } }

    func standGuard(over name: DeviceName) throws(DeviceMapperError) -> SuspendGuard {
        note(.standGuard(name))
        if let failure = state.withLock({ $0.guardFailure }) { throw failure }
        return SuspendGuard()
    }

    func suspend(_ name: DeviceName, freezing: Bool) throws(DeviceMapperError) {
        note(.suspend(name, freezing: freezing))
        let failure = state.withLock { state in
            [nil, name].contains(state.unsuspendable) ? state.suspendFailure : nil
        }
        if let failure { throw failure }
    }

    func resume(
        _ name: DeviceName, in transaction: DeviceMapperTransaction, visibility: UdevVisibility
    ) throws(DeviceMapperError) {
        note(.resume(name, visibility))
        let failure = state.withLock { state in
            state.resumeFailures.isEmpty ? nil : state.resumeFailures.removeFirst()
        }
        if let failure { throw failure }
    }

    func inTransaction<Result>(
        _ body: (DeviceMapperTransaction) throws -> Result
    ) throws -> Result {
        try body(DeviceMapperTransaction())
    }

    // MARK: what no test here asks for

    private func unexpected(_ name: String) -> DeviceMapperError {
        DeviceMapperError(operation: .version, name: name, errno: .notSupported)
    }

    func devices() throws(DeviceMapperError) -> [(name: String, uuid: String)] {
        throw unexpected("")
    }

    func info(_ name: DeviceName) throws(DeviceMapperError) -> DeviceInfo? {
        throw unexpected(name.text)
    }

    func create(
        _ name: DeviceName, uuid: DeviceUUID, in transaction: DeviceMapperTransaction,
        visibility: UdevVisibility
    ) throws(DeviceMapperError) {
        throw unexpected(name.text)
    }

    func load(
        _ name: DeviceName, _ targets: [Target], isReadOnly: Bool
    ) throws(DeviceMapperError) {
        throw unexpected(name.text)
    }

    func remove(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError) {
        throw unexpected(name.text)
    }

    func removeWhenUnused(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError) {
        throw unexpected(name.text)
    }

    func table(_ name: DeviceName) throws(DeviceMapperError) -> [Target] {
        throw unexpected(name.text)
    }

    func status(_ name: DeviceName) throws(DeviceMapperError) -> [Target] {
        throw unexpected(name.text)
    }
}
