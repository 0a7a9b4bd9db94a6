import Block
package import DeviceMapper
import SystemPackage

/// Device-mapper, with the rules of drivers/md/dm.c and dm-snap.c that matter here.
extension SimulatedKernel {
    private func enter(
        _ operation: DeviceMapperError.Operation, _ name: String = ""
    ) throws(DeviceMapperError) {
        let changes =
            switch operation {
            case .create, .load, .suspend, .resume, .remove: true
            default: false
            }
        guard Steps.next("\(operation.rawValue) \(name)", changes: changes) else {
            throw DeviceMapperError(operation: operation, name: name, errno: .ioError)
        }
        absorb()
        mergeOn()
    }

    private func device(
        _ operation: DeviceMapperError.Operation, _ name: DeviceName
    ) throws(DeviceMapperError) -> Mapped {
        try enter(operation, name.text)
        switch operation {
        case .info, .table, .status: break
        default: calls.append("\(operation.rawValue) \(name.text)")
        }
        guard let device = mapped[name.text] else {
            throw DeviceMapperError(
                operation: operation, name: name.text, errno: .noSuchAddressOrDevice)
        }
        return device
    }

    package func devices() throws(DeviceMapperError) -> [(name: String, uuid: String)] {
        try enter(.list)
        return mapped.sorted { $0.key < $1.key }.map { ($0.key, $0.value.uuid) }
    }

    package func info(_ name: DeviceName) throws(DeviceMapperError) -> DeviceInfo? {
        try enter(.info, name.text)
        return mapped[name.text].map { device in
            DeviceInfo(
                number: device.number, isSuspended: device.isSuspended,
                hasLiveTable: device.live != nil, openCount: openCount(name.text))
        }
    }

    package func create(
        _ name: DeviceName, uuid: DeviceUUID, in transaction: DeviceMapperTransaction,
        visibility: UdevVisibility
    ) throws(DeviceMapperError) {
        try enter(.create, name.text)
        calls.append("create \(name.text)")
        guard mapped[name.text] == nil, !mapped.values.contains(where: { $0.uuid == uuid.text })
        else {
            throw DeviceMapperError(operation: .create, name: name.text, errno: .resourceBusy)
        }
        minors += 1
        mapped[name.text] = Mapped(
            number: DeviceNumber(major: 250, minor: minors), uuid: uuid.text)
    }

    package func load(
        _ name: DeviceName, _ targets: [Target], isReadOnly: Bool
    ) throws(DeviceMapperError) {
        var device = try device(.load, name)
        func failure(_ errno: Errno) -> DeviceMapperError {
            DeviceMapperError(operation: .load, name: name.text, errno: errno)
        }
        guard targets.count == 1, let table = targets.first, let source = source(of: table),
            (try? backing(of: source, "")) != nil
        else { throw failure(.noSuchAddressOrDevice) }
        device.inactiveStore = nil
        // Device-mapper claims what is under it, as a mount does.
        if mounted[source]?.isEmpty == false { throw failure(.resourceBusy) }
        if let target = SnapshotTarget(parameters: table.parameters) {
            guard let file = try? backing(of: target.store, "").0 else {
                throw failure(.noSuchAddressOrDevice)
            }
            if isClaimed(target.store) {
                violations.append("\(name): its store is under another table already")
            }
            let store: SimulatedStore? = Steps.elsewhere {
                try? SimulatedStore(
                    file, chunkBytes: Int(target.chunk.sectors) * 512,
                    outlastsOverflow: target.outlastsOverflow)
            }
            guard let store else { throw failure(.invalidArgument) }
            device.inactiveStore = store
        }
        device.inactive = table
        mapped[name.text] = device
    }

    package func suspend(_ name: DeviceName, freezing: Bool) throws(DeviceMapperError) {
        var device = try device(.suspend, name)
        guard device.live != nil else {
            throw DeviceMapperError(operation: .suspend, name: name.text, errno: .invalidArgument)
        }
        device.isSuspended = true
        mapped[name.text] = device
        Steps.elsewhere { whenSuspended(name.text) }
    }

    package func resume(
        _ name: DeviceName, in transaction: DeviceMapperTransaction, visibility: UdevVisibility
    ) throws(DeviceMapperError) {
        var device = try device(.resume, name)
        if let table = device.inactive {
            if table.type == SnapshotTarget.type {
                noteRunningOrigin(of: table, name.text)
                noteUnflushedOrigin(of: table, name.text)
                try? keepBeginning(of: table, device.uuid)
            }
            device.live = table
            device.store = device.inactiveStore
            device.inactive = nil
            device.inactiveStore = nil
        }
        guard device.live != nil else {
            throw DeviceMapperError(operation: .resume, name: name.text, errno: .invalidArgument)
        }
        device.isSuspended = false
        if let number = source(of: device.live), isOrigin(device.live, of: number) {
            device.splitsFor = Set(snapshots(of: number).map(\.name))
        }
        mapped[name.text] = device
    }

    package func remove(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError) {
        let device = try device(.remove, name)
        if openCount(name.text) > 0 {
            throw DeviceMapperError(operation: .remove, name: name.text, errno: .resourceBusy)
        }
        if let table = device.live, table.type == SnapshotTarget.type {
            noteRunningOrigin(of: table, name.text)
        }
        mapped[name.text] = nil
        Steps.elsewhere { whenRemoved(name.text) }
    }

    /// Nobody closes anything by himself here.
    package func removeWhenUnused(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError) {
        if openCount(name.text) == 0 { try remove(name, in: transaction) }
    }

    /// What a snapshot goes back to is what the origin holds now, and a power cut must not change that.
    private func noteUnflushedOrigin(of table: Target, _ name: String) {
        guard let target = SnapshotTarget(parameters: table.parameters),
            unflushed.contains(where: { $0.device == target.origin })
        else { return }
        violations.append("\(name): captures over writes that a power cut may take back")
    }

    /// Which snapshots there are may change only while the origin is suspended, or not there.
    private func noteRunningOrigin(of snapshot: Target, _ name: String) {
        guard let number = source(of: snapshot) else { return }
        for (origin, device) in mapped
        where isOrigin(device.live, of: number) && !device.isSuspended {
            violations.append("\(name) comes or goes while \(origin) runs")
        }
    }

    package func table(_ name: DeviceName) throws(DeviceMapperError) -> [Target] {
        try device(.table, name).live.map { [$0] } ?? []
    }

    package func status(_ name: DeviceName) throws(DeviceMapperError) -> [Target] {
        let device = try device(.status, name)
        guard let table = device.live else { return [] }
        return [
            Target(
                length: table.length, type: table.type, parameters: device.store?.status ?? "")
        ]
    }

    package func inTransaction<Result>(
        _ body: (DeviceMapperTransaction) throws -> Result
    ) throws -> Result {
        let result = Swift.Result { try body(DeviceMapperTransaction()) }
        let waited = udevAnswers()
        let value = try result.get()
        guard waited else {
            throw DeviceMapperError(operation: .udev, name: "", errno: .ioError)
        }
        return value
    }

    private func udevAnswers() -> Bool {
        Steps.next("udev") && !udevFails
    }
}
