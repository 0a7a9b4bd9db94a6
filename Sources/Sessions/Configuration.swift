import Block
public import ExceptionStore
public import SystemPackage
import TOMLKit

/// `/etc/dmsnap/dmsnap.toml`.
public struct Configuration: Sendable {
    /// `sessions.directory`: the base directory.
    public var sessionsDirectory: FilePath
    /// `sessions.keep-empty`: whether a session without a write is kept.
    public var keepsEmptySessions = false
    /// `store.chunk-size`: for devices activated without `--chunk-size`.
    public var chunkSize = ChunkSize.kernelDefault
    /// `store.warn-percent`: how full a store or its file system may be without a warning.
    public var warnPercent = 80

    /// The defaults.
    public init(layout: Layout = Layout()) {
        sessionsDirectory = layout.defaultSessions
    }

    /// Reads the file if there is one.
    ///
    /// - Throws: `configuration`, naming the key: one that is unknown, or has another type or a
    ///   value that can't be.
    public init(reading layout: Layout) throws(SessionsError) {
        self.init(layout: layout)
        let path = layout.configuration
        guard Files.exists(path) else { return }
        func refusal(_ reason: String) -> SessionsError {
            .configuration(path: path.string, reason: reason)
        }
        let text: String
        do {
            text = String(decoding: try Files.read(path, limit: 1 << 20), as: UTF8.self)
        } catch {
            throw .system(error)
        }
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw refusal("line \(error.source.begin.line): \(error.description)")
        } catch {
            throw refusal("it is no TOML: \(error)")
        }
        for (section, value) in table {
            guard let entries = value.table else {
                throw refusal("\(section) is no section; there are [sessions] and [store]")
            }
            for (key, value) in entries {
                try set("\(section).\(key)", value, refusal)
            }
        }
    }

    private mutating func set(
        _ key: String, _ value: any TOMLValueConvertible, _ refusal: (String) -> SessionsError
    ) throws(SessionsError) {
        switch key {
        case "sessions.directory":
            guard let text = value.string, FilePath(text).isAbsolute else {
                throw refusal("\(key) is no absolute path")
            }
            sessionsDirectory = FilePath(text)
        case "sessions.keep-empty":
            guard let flag = value.bool else { throw refusal("\(key) is neither true nor false") }
            keepsEmptySessions = flag
        case "store.chunk-size":
            guard let text = value.string, let size = try? ChunkSize(parsing: text) else {
                throw refusal("\(key) is no chunk size: \"4K\" to \"1G\", a power of two")
            }
            chunkSize = size
        case "store.warn-percent":
            guard let percent = value.int, (1...99).contains(percent) else {
                throw refusal("\(key) is not between 1 and 99")
            }
            warnPercent = percent
        default:
            throw refusal("\(key) is unknown")
        }
    }
}
