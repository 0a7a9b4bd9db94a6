import SystemPackage

/// A kernel's whole state, to go back to.
extension SimulatedKernel {
    /// A kernel like this one, with descriptors of its own for the same files.
    func copy() throws -> SimulatedKernel {
        let copy = SimulatedKernel(nodes: nodes)
        try copy.become(self)
        return copy
    }

    /// Takes over everything of another kernel with the same nodes.
    func become(_ other: SimulatedKernel) throws {
        // `nodes`, and what follows.
        precondition(Mirror(reflecting: self).children.count == 33, "not all of it is taken over")
        for disk in disks { try disk.file.close() }
        for loop in loops.values { try loop.file.close() }
        disks = []
        loops = [:]
        var files: [CInt: FileDescriptor] = [:]
        for var disk in other.disks {
            disk.file = try disk.file.duplicate()
            disks.append(disk)
        }
        for (index, var loop) in other.loops {
            let file = try loop.file.duplicate()
            files[loop.file.rawValue] = file
            loop.file = file
            loops[index] = loop
        }
        // A store's file is its loop device's.
        func copy(_ store: SimulatedStore?) -> SimulatedStore? {
            store.map { SimulatedStore($0, file: files[$0.file.rawValue] ?? $0.file) }
        }
        mapped = other.mapped.mapValues { device in
            var device = device
            device.store = copy(device.store)
            device.inactiveStore = copy(device.inactiveStore)
            return device
        }
        minors = other.minors
        mounted = other.mounted
        handed = other.handed
        events = other.events
        calls = other.calls
        violations = other.violations
        hidden = other.hidden
        fileSystemUUID = other.fileSystemUUID
        free = other.free
        runIsInMemory = other.runIsInMemory
        countsWrites = other.countsWrites
        writes = other.writes
        unflushed = other.unflushed
        beginnings = other.beginnings
        keepsBeginnings = other.keepsBeginnings
        condition = other.condition
        lastCheck = other.lastCheck
        imageUse = other.imageUse
        foundations = other.foundations
        missingMount = other.missingMount
        whenSuspended = other.whenSuspended
        whenRemoved = other.whenRemoved
        whenAttached = other.whenAttached
        whenPaused = other.whenPaused
        rule = other.rule
        mergeSpeed = other.mergeSpeed
        udevFails = other.udevFails
        clock = other.clock
        tick = other.tick
    }
}
