import Block
public import ExceptionStore
import SessionArchive
public import SystemPackage

/// `/etc/dmsnap/dmsnap.toml`.
public struct Configuration: Hashable, Sendable {
    /// `sessions.directory`: the base directory.
    public var sessionsDirectory: FilePath
    /// `sessions.keep-empty`: whether a session without a write is kept.
    public var keepsEmptySessions = false
    /// `store.chunk-size`: for devices activated without `--chunk-size`.
    public var chunkSize = ChunkSize.kernelDefault
    /// `store.warn-percent`: how full a store or its file system may be without a warning.
    public var warnPercent = 80

    /// `store.limit`: how large a store may get, of the device's size; nil for as large as it takes.
    public var storeLimit: Share?
    /// `store.reserve`: what of the sessions' file system is left to others; nil for the default.
    public var reserve: Share?

    /// `archive.enabled`: whether closed sessions are compressed.
    public var archivesSessions = true
    /// `archive.niceness`: what is added to the nice value of what does that, 0 to 19.
    public var archiveNiceness = 10
    /// `archive.threads`: how many processors it may use; nil for all.
    public var archiveThreads: Int?
    /// `archive.after`: a program and its arguments, run for each archive; empty for none.
    public var afterArchive: [String] = []
    /// `restore.read-back`: whether a restore reads what it wrote and compares.
    public var readsBack = true
    /// `[retention]`: which sessions stay.
    public var retention = RetentionSettings()
    /// `[[device]]`: what is activated by itself.
    public var devices: [DeviceRule] = []

    /// What is left to others of a file system of this size: 5 %, and a gibibyte at most, unless
    /// `store.reserve` says something else.
    func reserve(of size: ByteCount) -> ByteCount {
        reserve?.of(size) ?? min(Share.percent(5).of(size), ByteCount(1 << 30))
    }

    /// How archives are made.
    var archiving: ArchiveOptions {
        ArchiveOptions(threads: archiveThreads, niceness: archiveNiceness)
    }

    /// The defaults.
    public init(layout: Layout = Layout()) {
        sessionsDirectory = layout.defaultSessions
    }

    /// Reads the file if there is one.
    ///
    /// - Throws: `configuration`, naming the key: one that is unknown, or has another type or a
    ///   value that can't be. So is a file that says nothing at all, as a power cut leaves it:
    ///   what somebody set is not to become a default in silence.
    public init(reading layout: Layout) throws(SessionsError) {
        self.init(layout: layout)
        let path = layout.configuration
        guard Files.exists(path) else { return }
        func refusal(_ reason: String) -> SessionsError {
            .configuration(path: path.string, reason: reason)
        }
        let bytes: [UInt8]
        do {
            // First: reading a FIFO would wait for whoever writes to it.
            guard try FileStatus(path).kind == .regular else {
                throw refusal("it is no regular file")
            }
            let there = try TrustedPath(path)
            try there.requireOurs()
            bytes = try Files.read(there.path, limit: 1 << 20)
        } catch let error as SystemError where error.refusal != nil {
            throw refusal("\(error)")
        } catch {
            throw .from(error)
        }
        try self.init(parsing: bytes, of: path, layout: layout)
    }

    /// A configuration file's bytes.
    ///
    /// - Throws: `configuration`.
    package init(
        parsing bytes: [UInt8], of path: FilePath, layout: Layout
    ) throws(SessionsError) {
        self.init(layout: layout)
        func refusal(_ reason: String) -> SessionsError {
            .configuration(path: path.string, reason: reason)
        }
        guard !bytes.isEmpty else {
            throw refusal("it is empty, as a power cut leaves a file; write it again")
        }
        guard !bytes.contains(0) else {
            throw refusal("it has zero bytes in it, as a power cut leaves a file; write it again")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw refusal("it is no UTF-8")
        }
        // A path's end would be there, without a word.
        guard !text.contains("\\u0000"), !text.contains("\\U00000000") else {
            throw refusal("it has a zero character (\\u0000) in it, which no value can have")
        }
        let settings: SettingsText
        do {
            settings = try SettingsText(text, lists: [["device"]])
        } catch {
            throw refusal("line \(error.line): \(error.reason)")
        }
        devices = try DeviceRule.all(in: settings, refusal)
        for entry in settings.entries where entry.number == nil {
            guard entry.words.count > 1 else {
                throw refusal(
                    "\(entry.words[0]) is in no section; there are [sessions], [store], [archive], "
                        + "[restore], [retention] and [[device]]")
            }
            if entry.words[0] == "retention" {
                try setRetention(entry, refusal)
                continue
            }
            try set(entry.words.joined(separator: "."), entry.value, refusal)
        }
    }

    private mutating func set(
        _ key: String, _ value: SettingsText.Value, _ refusal: (String) -> SessionsError
    ) throws(SessionsError) {
        func flag() throws(SessionsError) -> Bool {
            guard case .flag(let flag) = value else {
                throw refusal("\(key) is neither true nor false")
            }
            return flag
        }
        func number(in range: ClosedRange<Int>) throws(SessionsError) -> Int {
            guard case .number(let number) = value, range.contains(number) else {
                throw refusal(
                    "\(key) is not between \(range.lowerBound) and \(range.upperBound)")
            }
            return number
        }
        func share() throws(SessionsError) -> Share {
            guard case .string(let text) = value, let share = Share(parsing: text) else {
                throw refusal("\(key) is neither a size (\"10G\") nor a part (\"5%\")")
            }
            return share
        }
        switch key {
        case "sessions.directory":
            guard case .string(let text) = value, FilePath(text).isAbsolute else {
                throw refusal("\(key) is no absolute path")
            }
            // It stands for what could not be read, in whatever wrote this.
            guard !text.unicodeScalars.contains("\u{FFFD}") else {
                throw refusal("\(key) has the character U+FFFD, which stands for what is no UTF-8")
            }
            sessionsDirectory = FilePath(text)
        case "sessions.keep-empty":
            keepsEmptySessions = try flag()
        case "store.chunk-size":
            guard case .string(let text) = value, let size = try? ChunkSize(parsing: text) else {
                throw refusal("\(key) is no chunk size: \"4K\" to \"1G\", a power of two")
            }
            chunkSize = size
        case "store.warn-percent":
            warnPercent = try number(in: 1...99)
        case "store.limit":
            storeLimit = try share()
            guard storeLimit != .percent(0), storeLimit != .bytes(ByteCount(0)) else {
                throw refusal("\(key) is 0, so that nothing could be kept; deactivate instead")
            }
        case "store.reserve":
            reserve = try share()
        case "archive.enabled":
            archivesSessions = try flag()
        case "archive.niceness":
            archiveNiceness = try number(in: 0...19)
        case "archive.threads":
            archiveThreads = try number(in: 1...256)
        case "archive.after":
            guard case .strings(let words) = value, words.first.map({ $0.hasPrefix("/") }) ?? true
            else {
                throw refusal(
                    "\(key) is no command: [\"/path/of/program\", \"argument\"], with an absolute path"
                )
            }
            afterArchive = words
        case "restore.read-back":
            readsBack = try flag()
        default:
            throw refusal("\(key) is unknown")
        }
    }
}
