import Block
import CXxhash
import FoundationEssentials
import Glibc
import Lives
import SystemPackage

/// A shell script's end, waited for: a life is one thread's.
enum Shell {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static func call(_ script: String) throws -> Output {
        let out = FilePath("/dev/shm/life-out")
        let err = FilePath("/dev/shm/life-err")
        let status = unsafe system("{ \(script)\n} > \(out) 2> \(err) < /dev/null")
        func text(_ path: FilePath) throws -> String {
            String(decoding: try Files.read(path), as: UTF8.self)
        }
        return Output(status: status >> 8 & 0xff, out: try text(out), err: try text(err))
    }

    @discardableResult
    static func must(_ script: String) throws -> String {
        let output = try call("set -e\n\(script)")
        guard output.status == 0 else {
            throw Failure(description: "`\(script)`: \(output.status): \(output.err)")
        }
        return output.out.hasSuffix("\n") ? String(output.out.dropLast()) : output.out
    }
}

/// Asks again until the answer is yes.
func wait(_ what: String, within seconds: Int = 60, _ condition: () throws -> Bool) throws {
    let end = time(nil) + seconds
    while try !condition() {
        guard time(nil) < end else {
            throw Shell.Failure(description: "waited in vain until \(what)")
        }
        usleep(20_000)
    }
}

/// dmsnap's processes.
enum Monitors {
    static var running: [pid_t] {
        ((try? Files.list("/proc")) ?? []).compactMap { pid_t($0) }.filter { process in
            let status = Sysfs.attribute(FilePath("/proc/\(process)/stat")) ?? ""
            return status.contains("(dmsnap) ") && !status.contains(") Z ")
        }
    }

    /// Whether a process holds a lock beside that which says that it runs.
    static func holdsLock(_ process: pid_t) throws -> Bool {
        let own = try FileStatus("/run/dmsnap/monitor.lock").inode
        return try locks(of: process).contains { !$0.hasSuffix(":\(own)") }
    }

    /// Whether a process has a loop device open, to look what is behind it, or a mapped one, to read it: as long as
    /// it has, what is detached stays, and what is read is in use.
    static func holdsDevice(_ process: pid_t) -> Bool {
        let descriptors = FilePath("/proc/\(process)/fd")
        return ((try? Files.list(descriptors)) ?? []).contains { name in
            let path = (try? Files.resolve(descriptors.appending(name)))?.string ?? ""
            return path.hasPrefix("/dev/loop") || path.hasPrefix("/dev/dm-")
        }
    }

    /// Whether a process has come to its stop: what one of its threads was asking the kernel for ends first.
    static func isStopped(_ process: pid_t) -> Bool {
        let threads = FilePath("/proc/\(process)/task")
        return ((try? Files.list(threads)) ?? []).allSatisfy { thread in
            let status = Sysfs.attribute(threads.appending(thread).appending("stat")) ?? ""
            // The kernel's own of io_uring don't stop.
            return status.contains(") T ") || status.contains("(iou-")
        }
    }

    /// What has a device open, for whoever was refused for that.
    static func holders(of path: String) throws -> String {
        try Shell.call("fuser -v \(path); ps axo pid,stat,wchan:20,args | grep -v ' \\['").out
    }

    /// Whether a process holds the lock that says that it runs.
    static func isOn(_ process: pid_t) throws -> Bool {
        let own = try FileStatus("/run/dmsnap/monitor.lock").inode
        return try locks(of: process).contains { $0.hasSuffix(":\(own)") }
    }

    /// Files that a process holds: `1: FLOCK  ADVISORY  WRITE 123 00:12:34 0 EOF`.
    private static func locks(of process: pid_t) throws -> [String] {
        String(decoding: try Files.read("/proc/locks"), as: UTF8.self)
            .split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ")
                return words.count > 5 && words[4] == "\(process)" ? String(words[5]) : nil
            }
    }
}

/// A device's contents, short enough to be kept: equal ones are equal.
enum Digest {
    /// Past the page cache, in which a mounted file system has more than the device: ext4 makes up the
    /// bitmap of a group that has none yet (BLOCK_UNINIT) in the buffer, and doesn't write it.
    ///
    /// - Parameter size: in bytes, whole sectors of 512.
    static func of(_ path: FilePath, _ size: UInt64) throws -> [UInt8] {
        let file = try OwnedDescriptor.open(
            path, .readOnly, direct: FileStatus(path).kind == .blockDevice)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { unsafe buffer.deallocate() }
        // Of two seeds.
        var hashes: [UInt64] = [1, 2]
        var offset: UInt64 = 0
        while offset < size {
            let piece = unsafe UnsafeMutableRawBufferPointer(
                rebasing: buffer.prefix(Int(min(UInt64(buffer.count), size - offset))))
            let count = try unsafe file.read(into: piece, at: offset)
            for index in hashes.indices {
                hashes[index] = unsafe cxxhash_xxh3(piece.baseAddress, count, hashes[index])
            }
            guard count == piece.count else { break }
            offset += UInt64(count)
        }
        try file.close()
        return hashes.flatMap { hash in (0..<8).map { UInt8(truncatingIfNeeded: hash >> ($0 * 8)) }
        }
    }
}

/// As much of registry.json as a life is judged by.
struct LifeRegistry: Decodable {
    struct Activation: Decodable {
        struct Chain: Decodable {
            let id: String
            let index: Int
        }

        struct State: Decodable {
            struct Store: Decodable {
                let number: Int
            }

            struct Merge: Decodable {}

            let name: String
            let store: Store
            let session: String?
            let merge: Merge?
        }

        let id: String
        let name: String
        let path: String
        let chain: Chain
        let state: State

        var origin: FilePath { FilePath("/dev/mapper/dmsnap-\(name)") }
    }

    let activations: [Activation]

    static func activation() throws -> Activation? {
        let path: FilePath = "/var/lib/dmsnap/registry.json"
        guard Files.exists(path) else { return nil }
        return try JSONDecoder().decode(Self.self, from: Data(Files.read(path))).activations.first
    }
}

/// As much of session.json.
struct LifeRecord: Decodable {
    struct Ignored: Decodable {}

    let name: String
    let activation: String
    let store: Int
    let state: String
    let chain: String
    let index: Int
    let openedAt: String
    let closedAt: String?
    let broken: String?
    let undoneBy: String?
    let continues: String?
    let interrupted: Bool
    let end: Ignored?
    let lastIndex: Int?
    let pinned: Bool?
    let device: String
    /// A file beside it says so: not its own.
    var isHalfway = false

    private enum CodingKeys: String, CodingKey {
        case name, activation, store, state, chain, index, openedAt, closedAt, broken, undoneBy
        case continues, interrupted, end, lastIndex, pinned, device
    }

    init(_ directory: FilePath) throws {
        let bytes = try Files.read(directory.appending("session.json"))
        self = try JSONDecoder().decode(Self.self, from: Data(bytes))
        isHalfway = Files.exists(directory.appending("restoring.json"))
    }

    var listed: ListedSession {
        var listed = ListedSession(
            name: name, store: "\(activation)-\(store)",
            position: ChainPosition(chain: chain, index: index))
        listed.isCurrent = closedAt == nil
        listed.isInvalid = state == "invalid"
        listed.isBroken = broken != nil
        listed.isUndone = undoneBy != nil
        listed.isInterrupted = interrupted
        listed.isMidway = continues != nil
        listed.hasEnd = end != nil
        listed.lastIndex = lastIndex ?? index
        listed.isPinned = pinned ?? false
        listed.isHalfway = isHalfway
        listed.device = device
        listed.openedAt = openedAt
        return listed
    }
}
