public import Block
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
    public func set(_ new: Secret, old: Secret?) throws(SessionsError) {
        if isSet {
            guard let old else { throw .wrongPassword }
            try verify(old)
        }
        guard new.count > 0, new.count <= Self.limit, !new.contains(0) else {
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
    public func verify(_ password: Secret) throws(SessionsError) {
        guard isSet else { throw .noPassword }
        try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            try registry.holding(layout.passwordLock, for: "the password") { try check(password) }
        }
    }

    private func check(_ password: Secret) throws {
        // Whoever could put another hash there would have a password of his own.
        _ = try TrustedPath.ours(layout.password.removingLastComponent())
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

    private static func hash(_ password: Secret, setting: [CChar]) -> [UInt8]? {
        // 32 KiB of libxcrypt's scratch space; it says that it wipes what it had there.
        let data = UnsafeMutablePointer<crypt_data>.allocate(capacity: 1)
        let size = MemoryLayout<crypt_data>.size
        defer {
            unsafe explicit_bzero(data, size)
            unsafe data.deallocate()
        }
        unsafe memset(data, 0, size)
        return unsafe password.withBytes { bytes -> [UInt8]? in
            guard let phrase = unsafe bytes.bindMemory(to: CChar.self).baseAddress,
                let result = unsafe crypt_rn(phrase, setting, data, Int32(size))
            else { return nil }
            // A failure is marked by a `*` that no hash starts with (crypt(3)).
            let text = unsafe String(cString: result)
            return text.hasPrefix("*") ? nil : Array(text.utf8)
        }
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
    /// - Throws: `passfile` if it can't be read, if it is a file that others than its owner may read, or
    ///   if others than root, the caller and its owner could put another file in its place.
    public static func read(passfile path: FilePath) throws(SessionsError) -> Secret {
        let isInput = path == "-"
        func refusal(_ reason: String) -> SessionsError {
            .passfile(path: isInput ? "(standard input)" : path.string, reason: reason)
        }
        let password: Secret
        do {
            if isInput {
                password = try readAll(.standardInput, refusal)
            } else {
                let there = try TrustedPath(path, trusting: FileStatus(path).owner)
                let file = try FileDescriptor.open(
                    there.path, .readOnly, options: [.closeOnExec, .init(rawValue: O_NOCTTY)])
                password = try file.closeAfter { try readAll(file, refusal) }
            }
        } catch let error as SystemError {
            throw refusal(error.refusal == nil ? "it can't be read: \(error.errno)" : "\(error)")
        } catch let error as Errno {
            throw refusal("it can't be read: \(error)")
        } catch {
            throw .from(error)
        }
        if password.last == UInt8(ascii: "\n") {
            password.removeLast()
            if password.last == UInt8(ascii: "\r") { password.removeLast() }
        }
        guard password.count > 0 else { throw refusal("it is empty") }
        return password
    }

    /// All that a regular file for its owner alone has, or that comes through a pipe.
    private static func readAll(
        _ file: FileDescriptor, _ refusal: (String) -> SessionsError
    ) throws -> Secret {
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
        // A line's end more, and one byte more than that.
        let password = Secret(capacity: limit + 3)
        while try password.read(from: file) > 0 {
            guard password.count <= limit + 2 else {
                throw refusal("it is too long: a password has at most \(limit) bytes")
            }
        }
        return password
    }

    /// Makes this process one that leaves no core and that nobody of the same user can look into.
    public static func protectProcess() {
        _ = clinux_undumpable()
    }
}
