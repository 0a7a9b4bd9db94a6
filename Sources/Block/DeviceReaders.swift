internal import CLinux
internal import SystemPackage

/// Programs that have a block device open, and can only read it: a backup, sha256sum, udev's own probes.
public enum DeviceReaders {
    /// How many open files of programs are this device, if none of them can be written to (proc(5), fdinfo).
    ///
    /// What has it open otherwise isn't seen: a mount, a device on top, a file that only a mapping holds, or one on its
    /// way through a socket. So it is none but readers only if the kernel counts as many.
    ///
    /// - Returns: nil if somebody may write to it, or nobody knows.
    public static func count(of number: DeviceNumber) -> Int? {
        var found: [(process: Int32, descriptor: Int32)] = []
        for (process, directory) in Proc.processes() {
            // One that has just ended has none.
            for text in (try? Files.list(directory.appending("fd"))) ?? [] {
                guard let descriptor = Int32(text),
                    let status = try? FileStatus(directory.appending("fd").appending(text)),
                    status.kind == .blockDevice, status.deviceNumber == number
                else { continue }
                guard isReader(directory.appending("fdinfo").appending(text)) else { return nil }
                // The same one in a child, or duplicated, is one open file; a kernel without kcmp(2) doesn't tell.
                var isKnown = false
                for other in found {
                    switch clinux_is_same_file(
                        process, descriptor, other.process, other.descriptor)
                    {
                    case 0: continue
                    case 1: isKnown = true
                    default: return nil
                    }
                }
                if !isKnown { found.append((process, descriptor)) }
            }
        }
        return found.count
    }

    /// From `flags:`, in octal, with the access mode in the lowest two bits.
    private static func isReader(_ information: FilePath) -> Bool {
        guard let word = Proc.field("flags", in: information), let flags = UInt64(word, radix: 8)
        else { return false }
        return flags & 0o3 == 0
    }
}
