import Block
import CLinux
import Glibc
import Sessions

/// A map of a device's changed parts for a terminal.
struct ChangeMapText {
    static let rows = 8

    let map: ChangeMap
    let columns: Int
    /// Unchanged, then by quarters.
    let shades: [Character]

    /// - Parameters:
    ///   - columns: the terminal's width.
    ///   - isUnicode: whether it shows more than ASCII.
    init(_ changes: DeviceChanges, columns: Int, isUnicode: Bool) {
        self.columns = min(max(columns, 16), 200)
        map = ChangeMap(changes, cells: self.columns * Self.rows)
        shades = Array(isUnicode ? "·░▒▓█" : ".-+*#")
    }

    var text: String {
        var lines: [String] = []
        for start in stride(from: 0, to: map.changed.count, by: columns) {
            let cells = start..<min(start + columns, map.changed.count)
            lines.append(String(cells.map { shades[map.shade($0)] }))
        }
        lines.append(
            "each \(shades[0]) is \(ByteCount(map.cellBytes).formatted) of the device; "
                + "\(shades[1])\(shades[2])\(shades[3])\(shades[4]) where up to a quarter, a half, "
                + "three quarters or more of it was changed")
        return lines.joined(separator: "\n")
    }
}

extension Terminal {
    /// How wide it is; nil where standard output is none.
    static var columns: Int? {
        let columns = Int(clinux_terminal_columns(STDOUT_FILENO))
        return columns > 0 ? columns : nil
    }

    /// Whether the locale says that more than ASCII can be shown.
    static var isUnicode: Bool {
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { name -> String? in
                guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
                return unsafe String(cString: value).lowercased()
            }.first ?? ""
        return locale.contains("utf-8") || locale.contains("utf8")
    }
}
