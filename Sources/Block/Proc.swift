internal import SystemPackage

/// What the kernel says of processes, and of itself, below /proc (proc(5)).
enum Proc {
    /// The processes that there are now.
    static func processes() -> [(id: Int32, directory: FilePath)] {
        ((try? Files.list("/proc")) ?? []).compactMap { name in
            Int32(name).map { ($0, FilePath("/proc").appending(name)) }
        }
    }

    /// What stands behind a name and a colon in a file of lines, to the line's end; nil if there is none.
    static func field(_ name: String, in path: FilePath) -> Substring? {
        guard let bytes = try? Files.read(path) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("\(name):") }) else { return nil }
        return line.dropFirst(name.utf8.count + 1).drop { $0 == " " || $0 == "\t" }
    }
}

/// The machine's memory.
public enum Memory {
    /// What programs and the kernel can still have of it (MemAvailable, in KiB); nil if that isn't told.
    public static func available() -> ByteCount? {
        guard let text = Proc.field("MemAvailable", in: "/proc/meminfo"),
            let kibibytes = UInt64(text.prefix { $0 != " " })
        else { return nil }
        return ByteCount(kibibytes << 10)
    }
}
