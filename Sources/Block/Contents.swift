internal import CBlkid
internal import CZlib
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
        unsafe blkid_probe_enable_partitions(probe, 1)
        unsafe blkid_probe_set_partitions_flags(probe, BLKID_PARTS_ENTRY_DETAILS)
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

    private static func value(_ name: String, _ probe: blkid_probe) -> String? {
        var data: UnsafePointer<CChar>?
        guard unsafe blkid_probe_lookup_value(probe, name, &data, nil) == 0,
            let text = unsafe data
        else { return nil }
        return unsafe String(cString: text)
    }
}

/// A fingerprint of a device: its contents' identity and checksums of the regions where file systems
/// keep their superblocks.
///
/// Two equal ones mean that no file system on it was mounted for writing in between: every one of
/// them writes there when it is. They don't prove that no byte elsewhere was changed.
public struct Fingerprint: Hashable, Sendable, Codable {
    /// The device's length.
    public var size: ByteCount
    /// What libblkid finds on it; nothing where it finds contradictions.
    public var contents: Contents
    /// CRC-32 of each of `regions`, in their order.
    public var checksums: [UInt32]

    /// Offset and length in bytes, clipped to the device: the first MiB (every superblock's first
    /// place), 64 MiB (btrfs's second), the last 64 KiB (nilfs2's second, md's, GPT's).
    static func regions(of size: ByteCount) -> [(offset: UInt64, length: Int)] {
        let last: UInt64 = 64 << 10
        let wanted: [(UInt64, UInt64)] = [
            (0, 1 << 20), (64 << 20, 64 << 10), (size.bytes > last ? size.bytes - last : 0, last),
        ]
        return wanted.map { offset, length in
            (offset, offset < size.bytes ? Int(min(length, size.bytes - offset)) : 0)
        }
    }

    /// Reads the regions through the descriptor, and so through the page cache that it has.
    public init(of device: borrowing OwnedDescriptor) throws(SystemError) {
        // An image's last bytes may be no sector, and then no device over it has them.
        let size = try device.size().inWholeSectors
        self.size = size
        // What can't be told apart is no identity, but its bytes still are a fingerprint.
        contents = (try? Contents(probing: device)) ?? Contents()
        // Of the raw device only: device-mapper's over it is no partition.
        contents.partitionUUID = nil
        checksums = []
        for region in Self.regions(of: size) {
            let bytes = try device.read(count: region.length, at: region.offset)
            let checksum = unsafe bytes.withUnsafeBufferPointer {
                unsafe crc32(0, $0.baseAddress, UInt32($0.count))
            }
            checksums.append(UInt32(checksum))
        }
    }
}
