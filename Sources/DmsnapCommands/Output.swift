import Block
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

    /// A text as a file, or into whatever is there already.
    static func write(_ text: String, to path: FilePath) throws(SessionsError) {
        do {
            let file = try FileDescriptor.open(
                path, .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: [.ownerReadWrite, .groupRead, .otherRead])
            try file.closeAfter { _ = try file.writeAll(text.utf8) }
        } catch {
            throw .system(
                SystemError(
                    operation: "write", path: path.string, errno: error as? Errno ?? .ioError))
        }
    }

    /// One line on standard error; if even that is closed there is nobody to tell.
    static func diagnose(_ message: String) {
        _ = try? FileDescriptor.standardError.writeAll("dmsnap: \(visible(message))\n".utf8)
    }

    /// A part of a line that tells how far something is, on standard error.
    static func progress(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
    }

    /// A name or a path, visible.
    static func visible(_ text: ByteText) -> String { text.printable }

    /// A session's name, visible.
    static func visible(_ name: SessionName) -> String { name.bytes.printable }

    /// Names come from users and disks: what a terminal obeys instead of showing it must not reach it.
    static func visible(_ text: String) -> String { TerminalText.escape(text) }

    /// The same for several lines.
    static func lines(_ text: String) -> String {
        // By scalars: a carriage return and a line feed are one character.
        text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            .map { visible(String($0)) }.joined(separator: "\n")
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
