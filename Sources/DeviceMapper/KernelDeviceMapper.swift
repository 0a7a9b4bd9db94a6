internal import Block
internal import CDeviceMapper
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The kernel's device-mapper, through libdevmapper.
///
/// libdevmapper keeps its state in statics, so one lock is held around every use of it.
public struct KernelDeviceMapper: DeviceMapping {
    private static let gate = Mutex(())

    /// - Throws: if this kernel has no device-mapper, or it isn't ours to use.
    public init() throws(DeviceMapperError) {
        try Self.gated { () throws(DeviceMapperError) in
            cdevicemapper_note_control()
            try unsafe Self.task(.version, DM_DEVICE_VERSION, nil)
            cdevicemapper_seal_control()
        }
    }

    /// Made of one listing and one question for each device.
    public func devices() throws(DeviceMapperError) -> [(name: String, uuid: String)] {
        let names = try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.result(.list, DM_DEVICE_LIST, nil, read: { unsafe Self.names(of: $0) })
        }
        var found: [(name: String, uuid: String)] = []
        for name in names {
            // One that went away meanwhile isn't there, and one that nobody escaped isn't for us:
            // no failure.
            guard let name = DeviceName(escaped: name) else { continue }
            if let uuid = try uuid(of: name) { found.append((name.text, uuid)) }
        }
        return found
    }

    private static func names(of task: OpaquePointer) -> [String] {
        var names: [String] = []
        // With no device at all there is one entry without a number.
        guard let first = unsafe dm_task_get_names(task), unsafe first.pointee.dev != 0 else {
            return []
        }
        var entry: UnsafePointer<dm_names>? = unsafe UnsafePointer(first)
        while let current = unsafe entry {
            names.append(unsafe String(cString: cdevicemapper_name(current)))
            unsafe entry = cdevicemapper_next(current)
        }
        return names
    }

    private func uuid(of name: DeviceName) throws(DeviceMapperError) -> String? {
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.result(.info, DM_DEVICE_INFO, name) { task in
                var info = dm_info()
                guard unsafe dm_task_get_info(task, &info) != 0, info.exists != 0 else {
                    return nil
                }
                return unsafe dm_task_get_uuid(task).map { unsafe String(cString: $0) } ?? ""
            }
        }
    }

    /// DM_DEVICE_INFO.
    public func info(_ name: DeviceName) throws(DeviceMapperError) -> DeviceInfo? {
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.result(.info, DM_DEVICE_INFO, name) { task in
                var info = dm_info()
                guard unsafe dm_task_get_info(task, &info) != 0, info.exists != 0 else {
                    return nil
                }
                return DeviceInfo(
                    number: DeviceNumber(major: info.major, minor: info.minor),
                    isSuspended: info.suspended != 0, hasLiveTable: info.live_table != 0,
                    openCount: Int(info.open_count))
            }
        }
    }

    /// DM_DEVICE_CREATE.
    public func create(
        _ name: DeviceName, uuid: DeviceUUID, in transaction: DeviceMapperTransaction,
        visibility: UdevVisibility
    ) throws(DeviceMapperError) {
        // Without a table the kernel announces nothing that udev would answer: no cookie here.
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.task(
                .create, DM_DEVICE_CREATE, name,
                prepare: { unsafe dm_task_set_uuid($0, uuid.text) != 0 })
        }
    }

    /// DM_DEVICE_RELOAD.
    public func load(
        _ name: DeviceName, _ targets: [Target], isReadOnly: Bool
    ) throws(DeviceMapperError) {
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.task(
                .load, DM_DEVICE_RELOAD, name,
                prepare: { task in
                    if isReadOnly, unsafe dm_task_set_ro(task) == 0 { return false }
                    return targets.allSatisfy { target in
                        unsafe dm_task_add_target(
                            task, target.start.sectors, target.length.sectors, target.type,
                            target.parameters) != 0
                    }
                })
        }
    }

    /// A child process.
    public func standGuard(over name: DeviceName) throws(DeviceMapperError) -> SuspendGuard {
        try SuspendGuard(over: name)
    }

    /// DM_DEVICE_SUSPEND.
    public func suspend(_ name: DeviceName, freezing: Bool) throws(DeviceMapperError) {
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.task(
                .suspend, DM_DEVICE_SUSPEND, name,
                prepare: { task in freezing ? true : unsafe dm_task_skip_lockfs(task) != 0 })
        }
    }

    /// DM_DEVICE_RESUME.
    public func resume(
        _ name: DeviceName, in transaction: DeviceMapperTransaction, visibility: UdevVisibility
    ) throws(DeviceMapperError) {
        let flags: Int32 =
            switch visibility {
            case .disk: 0
            case .hidden:
                DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG | DM_UDEV_DISABLE_DISK_RULES_FLAG
                    | DM_UDEV_DISABLE_OTHER_RULES_FLAG
            }
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.task(
                .resume, DM_DEVICE_RESUME, name,
                prepare: { task in
                    unsafe dm_task_set_cookie(task, &transaction.cookie, UInt16(flags)) != 0
                })
        }
    }

    /// DM_DEVICE_REMOVE.
    public func remove(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError) {
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.task(
                .remove, DM_DEVICE_REMOVE, name,
                prepare: { unsafe dm_task_set_cookie($0, &transaction.cookie, 0) != 0 })
        }
    }

    /// DM_DEVICE_REMOVE with DM_DEFERRED_REMOVE. Where nothing is removed yet the kernel announces nothing,
    /// and libdevmapper answers the cookie itself.
    public func removeWhenUnused(
        _ name: DeviceName, in transaction: DeviceMapperTransaction
    ) throws(DeviceMapperError) {
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.task(
                .remove, DM_DEVICE_REMOVE, name,
                prepare: { task in
                    unsafe dm_task_deferred_remove(task) != 0
                        && dm_task_set_cookie(task, &transaction.cookie, 0) != 0
                })
        }
    }

    /// DM_DEVICE_TABLE.
    public func table(_ name: DeviceName) throws(DeviceMapperError) -> [Target] {
        try targets(.table, DM_DEVICE_TABLE, name)
    }

    /// DM_DEVICE_STATUS.
    public func status(_ name: DeviceName) throws(DeviceMapperError) -> [Target] {
        try targets(.status, DM_DEVICE_STATUS, name)
    }

    private func targets(
        _ operation: DeviceMapperError.Operation, _ type: Int, _ name: DeviceName
    ) throws(DeviceMapperError) -> [Target] {
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.result(
                operation, type, name,
                // A status that flushes would suspend the device under the hood (noflush: don't).
                prepare: { unsafe dm_task_no_flush($0) != 0 },
                read: { task in
                    var found: [Target] = []
                    var next: UnsafeMutableRawPointer?
                    repeat {
                        var start: UInt64 = 0
                        var length: UInt64 = 0
                        var type: UnsafeMutablePointer<CChar>?
                        var parameters: UnsafeMutablePointer<CChar>?
                        unsafe next = dm_get_next_target(
                            task, next, &start, &length, &type, &parameters)
                        if let type = unsafe type {
                            found.append(
                                Target(
                                    start: SectorCount(start), length: SectorCount(length),
                                    type: unsafe String(cString: type),
                                    parameters: unsafe parameters.map {
                                        unsafe String(cString: $0)
                                    } ?? ""))
                        }
                    } while unsafe next != nil
                    return found
                })
        }
    }

    /// The types of targets that this kernel has loaded.
    public func targets() throws(DeviceMapperError) -> [String] {
        try Self.gated { () throws(DeviceMapperError) in
            try unsafe Self.result(.targets, DM_DEVICE_LIST_VERSIONS, nil) { task in
                var names: [String] = []
                var entry = unsafe UnsafePointer(dm_task_get_versions(task))
                while let current = unsafe entry {
                    names.append(unsafe String(cString: cdevicemapper_target(current)))
                    unsafe entry = cdevicemapper_next_target(current)
                }
                return names
            }
        }
    }

    /// How long udev may take to answer. It takes less than a second; one that was killed never does,
    /// and libdevmapper would wait for it for ever.
    private static let udevPatience: Duration = .seconds(30)

    /// Waits with libdevmapper's udev cookie, or makes the nodes itself where no udev runs.
    ///
    /// - Throws: what `body` does; else `udev` if udev didn't answer, and all the rest is done.
    public func inTransaction<Result>(
        _ body: (DeviceMapperTransaction) throws -> Result
    ) throws -> Result {
        let transaction = DeviceMapperTransaction()
        let result = Swift.Result { try body(transaction) }
        let waited = Self.waitForUdev(transaction.cookie)
        let value = try result.get()
        guard waited else {
            throw DeviceMapperError(operation: .udev, name: "", errno: .ioError)
        }
        return value
    }

    /// Asks again and again, and lets go of the gate in between.
    ///
    /// Without udev there is no cookie, and the nodes to make wait in libdevmapper's static list for
    /// this call: so it is made in any case.
    private static func waitForUdev(_ cookie: UInt32) -> Bool {
        var isBlind = true
        alone { isBlind = cookie == 0 || dm_udev_get_sync_support() == 0 }
        if isBlind {
            // Asked without waiting, libdevmapper says of these for ever that they are not ready.
            var isMade = false
            alone { isMade = dm_udev_wait(cookie) != 0 }
            return isMade
        }
        let start = ContinuousClock.now
        var pause: UInt32 = 500
        var isLate = false
        // Of one who doesn't answer the semaphore is to go, too: an answer for each that is missing.
        while true {
            var ready: CInt = 0
            var isGood = false
            alone { isGood = unsafe dm_udev_wait_immediate(cookie, &ready) != 0 }
            if !isGood { return false }
            if ready != 0 { return !isLate }
            isLate = isLate || ContinuousClock.now - start >= udevPatience
            if isLate {
                var isAnswered = false
                alone { isAnswered = dm_udev_complete(cookie) != 0 }
                if !isAnswered { return false }
            } else {
                usleep(pause)
                pause = min(pause * 2, 10_000)
            }
        }
    }

    /// Runs `body` as the only one that uses libdevmapper, whose settings are its host's again when it
    /// has ended.
    private static func alone(_ body: () -> Void) {
        gate.withLock { _ in
            cdevicemapper_enter()
            body()
            cdevicemapper_leave()
        }
    }

    private static func gated<Result>(
        _ body: () throws(DeviceMapperError) -> Result
    ) throws(DeviceMapperError) -> Result {
        var result: Swift.Result<Result, DeviceMapperError>?
        alone { result = Swift.Result { () throws(DeviceMapperError) in try body() } }
        guard let result else {
            throw DeviceMapperError(operation: .version, name: "", errno: .canceled)
        }
        return try result.get()
    }

    /// Makes a task whose result nobody reads.
    private static func task(
        _ operation: DeviceMapperError.Operation, _ type: Int, _ name: DeviceName?,
        prepare: (OpaquePointer) -> Bool = { _ in true }
    ) throws(DeviceMapperError) {
        try unsafe result(operation, type, name, prepare: prepare, read: { _ in () })
    }

    /// Makes one task: `prepare` sets it up, the kernel runs it, `read` takes its result.
    private static func result<Result>(
        _ operation: DeviceMapperError.Operation, _ type: Int, _ name: DeviceName?,
        prepare: (OpaquePointer) -> Bool = { _ in true },
        read: (OpaquePointer) -> Result
    ) throws(DeviceMapperError) -> Result {
        func failure(_ code: Errno) -> DeviceMapperError {
            DeviceMapperError(
                operation: operation, name: name?.text ?? "", errno: code,
                message: unsafe String(cString: cdevicemapper_last_message()))
        }
        errno = 0
        guard let task = unsafe dm_task_create(CInt(type)) else {
            // It asks the kernel for its version first, once; after that the answer comes without
            // an errno.
            throw failure(errno == 0 ? Errno(rawValue: ENODEV) : Errno(rawValue: errno))
        }
        defer { unsafe dm_task_destroy(task) }
        if let name, unsafe dm_task_set_name(task, name.escaped) == 0 {
            throw failure(.invalidArgument)
        }
        guard unsafe prepare(task) else { throw failure(.invalidArgument) }
        guard unsafe dm_task_run(task) != 0 else {
            let code = unsafe dm_task_get_errno(task)
            throw failure(code == 0 ? .ioError : Errno(rawValue: code))
        }
        return unsafe read(task)
    }
}
