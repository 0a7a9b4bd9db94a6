import Block
import CCrypt
import CLinux
import Glibc
public import SystemPackage

/// The service's own password, a yescrypt hash in a file for root alone (libxcrypt, crypt(5)).
public struct ServicePassword: Sendable {
    let registry: Registry

    var layout: Layout { registry.layout }

    /// How long a wrong guess takes beyond the hashing.
    static let penalty: UInt32 = 2

    /// The longest password and password file in bytes: libxcrypt's limit is 512.
    public static let limit = 511

    init(registry: Registry) {
        self.registry = registry
    }

    /// The password alone, for where there is no device-mapper, as when an image of a system is built.
    ///
    /// - Parameter action: what only root may do, for the message: `set the service's password`.
    /// - Throws: `notRoot`.
    public static func forRoot(to action: String) throws(SessionsError) -> ServicePassword {
        guard geteuid() == 0 else { throw .notRoot(action) }
        return ServicePassword(
            registry: Registry(layout: Layout(), notice: SnapshotService.tell))
    }

    /// Whether one was ever set.
    public var isSet: Bool { Files.exists(layout.password) }

    /// Sets or replaces it.
    ///
    /// - Parameters:
    ///   - old: the present one; not needed while none is set.
    ///   - new: 1 to 511 bytes without a zero byte.
    /// - Throws: `wrongPassword`, `passfile` if `new` can't be a password.
    public func set(_ new: [UInt8], old: [UInt8]?) throws(SessionsError) {
        if isSet {
            guard let old else { throw .wrongPassword }
            try verify(old)
        }
        guard !new.isEmpty, new.count <= Self.limit, !new.contains(0) else {
            throw .passfile(
                path: "(new password)", reason: "a password has 1 to \(Self.limit) bytes, none zero"
            )
        }
        // A NULL prefix would leave the choice of method to libxcrypt's build; `$y$` is yescrypt.
        var salt = [CChar](repeating: 0, count: Int(CRYPT_GENSALT_OUTPUT_SIZE))
        guard unsafe crypt_gensalt_rn("$y$", 0, nil, 0, &salt, Int32(salt.count)) != nil,
            let hash = Self.hash(new, setting: salt)
        else {
            throw .internalFault("libxcrypt has no yescrypt")
        }
        do {
            try Files.makeDirectory(layout.password.removingLastComponent(), permissions: 0o755)
            try Files.replace(layout.password, with: hash + [UInt8(ascii: "\n")])
        } catch {
            throw .system(error)
        }
    }

    /// Guesses are checked one at a time, whatever processes they come from, so that the pause after a
    /// wrong one holds up all of them.
    ///
    /// - Throws: `wrongPassword` after a pause, `noPassword`.
    public func verify(_ password: [UInt8]) throws(SessionsError) {
        guard isSet else { throw .noPassword }
        try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            try registry.holding(layout.passwordLock, for: "the password") { try check(password) }
        }
    }

    private func check(_ password: [UInt8]) throws {
        var stored = try Files.read(layout.password, limit: 4096)
        if stored.last == UInt8(ascii: "\n") { stored.removeLast() }
        // What a power cut can leave is no wrong guess, and no password gets past it.
        guard !stored.isEmpty, !stored.contains(0) else {
            throw SessionsError.damagedRecord(
                path: layout.password.string,
                reason: "there is no hash in it, so every password is wrong")
        }
        let setting = stored.map { CChar(bitPattern: $0) } + [0]
        guard password.count <= Self.limit, !password.contains(0),
            let hash = Self.hash(password, setting: setting), Self.equal(hash, stored)
        else {
            sleep(Self.penalty)
            throw SessionsError.wrongPassword
        }
    }

    private static func hash(_ password: [UInt8], setting: [CChar]) -> [UInt8]? {
        var phrase = password.map { CChar(bitPattern: $0) } + [0]
        defer {
            unsafe phrase.withUnsafeMutableBytes { bytes in
                if let base = bytes.baseAddress { unsafe explicit_bzero(base, bytes.count) }
            }
        }
        // 32 KiB of libxcrypt's scratch space, which it wipes itself.
        let data = UnsafeMutablePointer<crypt_data>.allocate(capacity: 1)
        defer { unsafe data.deallocate() }
        unsafe memset(data, 0, MemoryLayout<crypt_data>.size)
        guard
            let result = unsafe crypt_rn(
                phrase, setting, data, Int32(MemoryLayout<crypt_data>.size))
        else { return nil }
        // A failure is marked by a `*` that no hash starts with (crypt(3)).
        let text = unsafe String(cString: result)
        return text.hasPrefix("*") ? nil : Array(text.utf8)
    }

    /// Takes as long for any two strings of one length, so that time tells nothing of where they
    /// differ.
    static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }

    /// A password from a file, or from a pipe: its contents without the newline at the end, be it
    /// `\n` or, from an editor that ends lines so, `\r\n`.
    ///
    /// - Parameter path: a regular file, a FIFO or another name of a pipe (`/dev/stdin`,
    ///   `/dev/fd/63`), which are read to their end; `-` is standard input.
    /// - Throws: `passfile` if it can't be read, or if it is a file that others than its owner may
    ///   read.
    public static func read(passfile path: FilePath) throws(SessionsError) -> [UInt8] {
        let isInput = path == "-"
        func refusal(_ reason: String) -> SessionsError {
            .passfile(path: isInput ? "(standard input)" : path.string, reason: reason)
        }
        var bytes: [UInt8]
        do {
            if isInput {
                bytes = try readAll(.standardInput, refusal)
            } else {
                let file = try FileDescriptor.open(
                    path, .readOnly, options: [.closeOnExec, .init(rawValue: O_NOCTTY)])
                bytes = try file.closeAfter { try readAll(file, refusal) }
            }
        } catch let error as Errno {
            throw refusal("it can't be read: \(error)")
        } catch {
            throw .from(error)
        }
        if bytes.last == UInt8(ascii: "\n") {
            bytes.removeLast()
            if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        }
        guard !bytes.isEmpty else { throw refusal("it is empty") }
        return bytes
    }

    /// All that a regular file for its owner alone has, or that comes through a pipe.
    private static func readAll(
        _ file: FileDescriptor, _ refusal: (String) -> SessionsError
    ) throws -> [UInt8] {
        // Of what was opened, not of the name: that may be another file by now.
        var status = stat()
        guard unsafe fstat(file.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            guard status.st_mode & 0o077 == 0 else {
                throw refusal(
                    "others than its owner may read or change it; run chmod 600 on it")
            }
        case S_IFIFO, S_IFSOCK: break
        default: throw refusal("it is neither a regular file nor a pipe")
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1024)
        while true {
            let count = try unsafe buffer.withUnsafeMutableBytes {
                try unsafe file.read(into: $0)
            }
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
            guard bytes.count <= limit + 2 else {
                throw refusal("it is too long: a password has at most \(limit) bytes")
            }
        }
    }

    /// Makes this process one that leaves no core and that nobody of the same user can look into.
    public static func protectProcess() {
        _ = clinux_undumpable()
    }
}
