import Block
import CCrypt
import CLinux
import Glibc
public import SystemPackage

/// The service's own password, a yescrypt hash in a file for root alone (libxcrypt, crypt(5)).
public struct ServicePassword: Sendable {
    let layout: Layout

    /// How long a wrong guess takes beyond the hashing.
    static let penalty: UInt32 = 2

    /// The longest password and password file in bytes: libxcrypt's limit is 512.
    static let limit = 511

    init(layout: Layout) {
        self.layout = layout
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
            try FileLock.holding(layout.passwordLock) { try check(password) }
        }
    }

    private func check(_ password: [UInt8]) throws {
        var stored = try Files.read(layout.password, limit: 4096)
        if stored.last == UInt8(ascii: "\n") { stored.removeLast() }
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

    /// A password from a file: its contents without the newline at the end.
    ///
    /// - Throws: `passfile` if it can't be read, or if others than its owner may read it.
    public static func read(passfile path: FilePath) throws(SessionsError) -> [UInt8] {
        do {
            let status = try FileStatus(path)
            guard status.kind == .regular else {
                throw SessionsError.passfile(path: path.string, reason: "it is no regular file")
            }
            guard status.permissions & 0o077 == 0 else {
                throw SessionsError.passfile(
                    path: path.string,
                    reason: "others than its owner may read or change it; run chmod 600 on it")
            }
            var bytes = try Files.read(path, limit: 4096)
            if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
            if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
            guard !bytes.isEmpty else {
                throw SessionsError.passfile(path: path.string, reason: "it is empty")
            }
            return bytes
        } catch let error as SystemError {
            throw .passfile(path: path.string, reason: "it can't be read: \(error.errno)")
        } catch {
            throw .from(error)
        }
    }

    /// Makes this process one that leaves no core and that nobody of the same user can look into.
    public static func protectProcess() {
        _ = clinux_undumpable()
    }
}
