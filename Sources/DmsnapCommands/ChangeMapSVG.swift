import Block
import Sessions

/// A map of a device's changed parts for a report.
struct ChangeMapSVG {
    private static let columns = 128
    private static let rows = 32
    private static let cell = 7
    private static let left = 90
    private static let top = 56
    private static let colors = ["#e8e8e8", "#a6cbe8", "#5fa2d6", "#2470b3", "#0b3d75"]

    let changes: DeviceChanges
    let title: String

    var text: String {
        let map = ChangeMap(changes, cells: Self.columns * Self.rows)
        let rows = (map.changed.count + Self.columns - 1) / Self.columns
        let width = Self.left + Self.columns * Self.cell + 16
        let height = Self.top + rows * Self.cell + 40
        var parts = [
            """
            <?xml version="1.0" encoding="UTF-8"?>
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" \
            viewBox="0 0 \(width) \(height)" font-family="sans-serif" font-size="11">
            <title>\(Self.escaped(title))</title>
            <rect width="100%" height="100%" fill="white"/>
            <text x="16" y="22" font-size="14">\(Self.escaped(title))</text>
            <text x="16" y="42">\(Self.escaped(summary(map)))</text>
            """
        ]
        for row in 0..<rows {
            if row.isMultiple(of: 4) {
                let offset = UInt64(row * Self.columns) * map.cellBytes
                parts.append(
                    "<text x=\"\(Self.left - 8)\" y=\"\(Self.top + row * Self.cell + 7)\" "
                        + "text-anchor=\"end\">\(Self.escaped(ByteCount(offset).formatted))</text>")
            }
            parts += self.row(row, map)
        }
        let legend = [
            "unchanged", "up to a quarter", "up to a half", "up to three quarters", "more",
        ]
        for (index, name) in legend.enumerated() {
            let x = Self.left + index * 170
            let y = Self.top + rows * Self.cell + 14
            parts.append(
                "<rect x=\"\(x)\" y=\"\(y)\" width=\"10\" height=\"10\" fill=\"\(Self.colors[index])\"/>"
                    + "<text x=\"\(x + 16)\" y=\"\(y + 9)\">\(name)</text>")
        }
        parts.append("</svg>\n")
        return parts.joined(separator: "\n")
    }

    private func summary(_ map: ChangeMap) -> String {
        let changed = changes.ranges.reduce(0) { $0 + $1.length }
        return
            "\(changes.device): \(ByteCount(changed).formatted) of \(ByteCount(map.size).formatted) "
            + "changed; each square is \(ByteCount(map.cellBytes).formatted)"
    }

    /// Neighbours of one shade are one rectangle.
    private func row(_ row: Int, _ map: ChangeMap) -> [String] {
        var rectangles: [String] = []
        var start = row * Self.columns
        let end = min(start + Self.columns, map.changed.count)
        while start < end {
            let shade = map.shade(start)
            var next = start + 1
            while next < end, map.shade(next) == shade { next += 1 }
            rectangles.append(
                "<rect x=\"\(Self.left + (start % Self.columns) * Self.cell)\" "
                    + "y=\"\(Self.top + row * Self.cell)\" width=\"\((next - start) * Self.cell)\" "
                    + "height=\"\(Self.cell)\" fill=\"\(Self.colors[shade])\"/>")
            start = next
        }
        return rectangles
    }

    /// As XML text; what XML has no way to write is left out.
    static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in TerminalText.escape(text).unicodeScalars {
            switch scalar {
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "&": escaped += "&amp;"
            case "\"": escaped += "&quot;"
            case "\u{fffe}", "\u{ffff}": continue
            default:
                if scalar.value < 0x20, scalar != "\n", scalar != "\t" { continue }
                escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
