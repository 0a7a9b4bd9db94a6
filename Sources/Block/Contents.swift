internal import CBlkid
internal import Glibc
internal import SystemPackage

/// What libblkid finds on a device: enough to tell whose contents these are.
public struct Contents: Hashable, Sendable, Codable {
    /// The file system's or other content's type: `ext4`, `LVM2_member`, `crypto_LUKS`; nil for none.
    public var type: String?
    /// libblkid's USAGE: `filesystem`, `raid`, `crypto`, `other`.
    public var usage: String?
    /// As the file system's own tools print it: vfat's is `ABCD-1234`.
    public var uuid: String?
    /// The name that its owner gave it.
    public var label: String?
    /// The type of the partition table on it: `gpt`, `dos`.
    public var partitionTable: String?
    /// The UUID of the partition that the device is.
    public var partitionUUID: String?

    /// Nothing known.
    public init() {}

    /// What is on an open device or in an image file.
    ///
    /// - Throws: EINVAL if several contradicting signatures are found (libblkid's "ambivalent").
    public init(probing device: borrowing OwnedDescriptor) throws(SystemError) {
        try self.init(probing: device, onlyFor: nil)
    }

    /// The same of a device that is in use as what it was found to be a moment ago: libblkid is asked for that
    /// alone, which takes a twentieth of the time; for everything only where it isn't that any more.
    ///
    /// - Parameter expected: what was found; its UUID and label may be others by now.
    init(
        probing device: borrowing OwnedDescriptor, expecting expected: Contents
    ) throws(SystemError) {
        if let type = expected.type, expected.partitionTable == nil,
            let found = try? Contents(probing: device, onlyFor: type),
            found.type == type, found.usage == expected.usage
        {
            self = found
            return
        }
        try self.init(probing: device)
    }

    private init(
        probing device: borrowing OwnedDescriptor, onlyFor wanted: String?
    ) throws(SystemError) {
        let path = device.path.string
        guard let probe = unsafe blkid_new_probe() else {
            throw SystemError(operation: "blkid_new_probe", path: path, errno: .noMemory)
        }
        defer { unsafe blkid_free_probe(probe) }
        guard unsafe blkid_probe_set_device(probe, device.descriptor.rawValue, 0, 0) == 0 else {
            throw SystemError(
                operation: "blkid_probe_set_device", path: path, errno: Errno(rawValue: errno))
        }
        unsafe blkid_probe_enable_superblocks(probe, 1)
        unsafe blkid_probe_set_superblocks_flags(
            probe,
            BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_UUID | BLKID_SUBLKS_LABEL)
        if let wanted {
            try unsafe Self.filter(probe, wanted, path)
        } else {
            unsafe blkid_probe_enable_partitions(probe, 1)
            unsafe blkid_probe_set_partitions_flags(probe, BLKID_PARTS_ENTRY_DETAILS)
        }
        switch unsafe blkid_do_safeprobe(probe) {
        case 0, 1: break
        case -2:
            throw SystemError(operation: "blkid_do_safeprobe", path: path, errno: .invalidArgument)
        default:
            throw SystemError(operation: "blkid_do_safeprobe", path: path, errno: .ioError)
        }
        type = unsafe Self.value("TYPE", probe)
        usage = unsafe Self.value("USAGE", probe)
        uuid = unsafe Self.value("UUID", probe)
        label = unsafe Self.value("LABEL", probe)
        partitionTable = unsafe Self.value("PTTYPE", probe)
        partitionUUID = unsafe Self.value("PART_ENTRY_UUID", probe)
    }

    private static func filter(
        _ probe: blkid_probe, _ type: String, _ path: String
    ) throws(SystemError) {
        let status = unsafe type.withCString { name in
            var names: [UnsafeMutablePointer<CChar>?] = unsafe [
                UnsafeMutablePointer(mutating: name), nil,
            ]
            return unsafe blkid_probe_filter_superblocks_type(probe, BLKID_FLTR_ONLYIN, &names)
        }
        guard status == 0 else {
            throw SystemError(
                operation: "blkid_probe_filter_superblocks_type", path: path, errno: .noMemory)
        }
    }

    private static func value(_ name: String, _ probe: blkid_probe) -> String? {
        var data: UnsafePointer<CChar>?
        guard unsafe blkid_probe_lookup_value(probe, name, &data, nil) == 0,
            let text = unsafe data
        else { return nil }
        return unsafe String(cString: text)
    }
}
