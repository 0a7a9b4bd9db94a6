import Block
import SystemPackage

/// The machine of the tests, as the kernel's files show it. A program started for every look would keep
/// the one processor of User-Mode Linux from everything else.
enum Machine {
    /// The names of device-mapper's devices.
    static var mapperDevices: [String] {
        blockDevices(attribute: "dm/name").map(\.value)
    }

    /// Every loop device that has a file which isn't deleted, and that file.
    static var loopDevices: [String] {
        blockDevices(attribute: "loop/backing_file")
            .filter { !$0.value.hasSuffix(" (deleted)") }
            .map { "\($0.device): \($0.value)" }
    }

    /// The ids of the monitors that run, and not of what udev's rules start.
    static var monitors: [String] {
        let all = (try? Files.list("/proc")) ?? []
        return all.filter { process in
            guard Int(process) != nil, text("/proc/\(process)/comm") == "dmsnap" else {
                return false
            }
            return text("/proc/\(process)/cmdline")?.split(separator: "\0").contains("monitor")
                ?? false
        }
    }

    /// The udev cookies that somebody still waits for: semaphores whose keys begin as libdevmapper's do.
    static var cookies: [String] {
        (text("/proc/sysvipc/sem") ?? "").split(separator: "\n").dropFirst().compactMap { line in
            let key = line.split(separator: " ").first.flatMap { Int32($0) }
            guard let key, UInt32(bitPattern: key) >> 16 == 0x0D4D else { return nil }
            return String(line)
        }
    }

    /// Whether anything is mounted at a place or below it.
    static func isMounted(below place: String) -> Bool {
        let mounts = (try? MountTable.read()) ?? []
        return mounts.contains { $0.target == place || $0.target.hasPrefix(place + "/") }
    }

    /// Whether dmsnap's registry has any device.
    static var hasActivations: Bool {
        text("/var/lib/dmsnap/registry.json")?.contains("\"sessionPrefix\"") ?? false
    }

    private static func blockDevices(attribute: String) -> [(device: String, value: String)] {
        ((try? Files.list("/sys/block")) ?? []).compactMap { device in
            text("/sys/block/\(device)/\(attribute)").map { (device, $0) }
        }
    }

    /// A file's text without its last newline; nil if it can't be read.
    private static func text(_ path: String) -> String? {
        guard let bytes = try? Files.read(FilePath(path)) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }
}

/// What tests must not leave behind.
struct Leftovers: Equatable, CustomStringConvertible {
    let mapperDevices, loopDevices, monitors, cookies: Set<String>

    static func now() -> Leftovers {
        Leftovers(
            mapperDevices: Set(Machine.mapperDevices), loopDevices: Set(Machine.loopDevices),
            monitors: Set(Machine.monitors), cookies: Set(Machine.cookies))
    }

    var description: String {
        "device-mapper: \(mapperDevices.sorted()), loop devices: \(loopDevices.sorted()), "
            + "monitors: \(monitors.sorted()), cookies: \(cookies.sorted())"
    }
}
