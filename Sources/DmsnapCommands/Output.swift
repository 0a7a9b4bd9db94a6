import Glibc
import Sessions
import SystemPackage

/// Standard output could not be written.
struct OutputFailure: Error, CustomStringConvertible {
    let errno: Errno

    var description: String { "standard output: \(errno)" }
}

/// What goes to the user: results to standard output, everything else to standard error.
enum Output {
    /// Whoever puts a name into `text` makes it `visible`, line ends and all; the rest is seen to here.
    static func print(_ text: String) throws {
        do {
            try FileDescriptor.standardOutput.writeAll((lines(text) + "\n").utf8)
        } catch {
            throw OutputFailure(errno: error as? Errno ?? .ioError)
        }
    }

    static func printJSON(_ value: some Encodable) throws {
        let bytes = try JSON.encode(value)
        do {
            try FileDescriptor.standardOutput.writeAll(bytes)
        } catch {
            throw OutputFailure(errno: error as? Errno ?? .ioError)
        }
    }

    /// One line on standard error; if even that is closed there is nobody to tell.
    static func diagnose(_ message: String) {
        _ = try? FileDescriptor.standardError.writeAll("dmsnap: \(visible(message))\n".utf8)
    }

    /// Names come from users and disks: what a terminal obeys instead of showing it must not reach it.
    /// That is controls (C0, DEL, C1), line ends, and the controls of bidirectional text, which make
    /// a line read as another one.
    static func visible(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isObeyed) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isObeyed(scalar) {
                result += escaped(scalar)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The same for several lines.
    static func lines(_ text: String) -> String {
        // By scalars: a carriage return and a line feed are one character.
        text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            .map { visible(String($0)) }.joined(separator: "\n")
    }

    private static func isObeyed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x1f, 0x7f...0x9f: true
        // Line and paragraph separator.
        case 0x2028, 0x2029: true
        // Marks (Arabic, left to right, right to left), embeddings and overrides, isolates.
        case 0x61c, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069: true
        default: false
        }
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        default: break
        }
        let digits = String(scalar.value, radix: 16)
        guard scalar.isASCII else { return "\\u{\(digits)}" }
        return "\\x" + (digits.count == 1 ? "0" : "") + digits
    }

    /// Rows under a header, each column as wide as its widest cell.
    static func table(_ header: [String], _ rows: [[String]]) -> String {
        let all = [header] + rows.map { $0.map(visible) }
        let widths = header.indices.map { column in
            all.map { $0[column].count }.max() ?? 0
        }
        return all.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column + 1 < row.count {
                    line += String(repeating: " ", count: widths[column] - cell.count + 2)
                }
            }
            return line
        }.joined(separator: "\n")
    }
}

/// A share for people.
enum Percent {
    static func text(_ done: UInt64, of total: UInt64) -> String {
        "\(total == 0 ? 100 : Int(Double(done) / Double(total) * 100)) %"
    }
}
