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
    static func print(_ text: String) throws {
        do {
            try FileDescriptor.standardOutput.writeAll((text + "\n").utf8)
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

    /// Names come from users and disks: a control character in one must not reach the terminal.
    static func visible(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) {
                let digits = String(scalar.value, radix: 16)
                result += "\\x" + (digits.count < 2 ? "0" : "") + digits
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
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
