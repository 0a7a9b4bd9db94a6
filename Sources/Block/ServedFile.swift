internal import CLinux
internal import Glibc
internal import Synchronization
public import SystemPackage

/// A regular file, in no directory, whose bytes are made by this process as they are read: FUSE
/// (include/uapi/linux/fuse.h) with that file as all there is.
///
/// The kernel asks as long as anybody has it open, a loop device for instance; when this process ends, or is
/// killed, others read errors.
public final class ServedFile: Sendable {
    /// Fills the buffer with the bytes from an offset on, which is within the file's size; what it throws
    /// becomes EIO, and is kept.
    public typealias Reader =
        @Sendable (inout MutableSpan<UInt8>, UInt64) throws -> Void

    private let file: Mutex<FileDescriptor?>
    private let server: WorkerThread
    private let service: FileService

    /// Begins to serve it, by a thread of its own.
    ///
    /// - Parameter descriptors: all that `read` reads, open until it is called no more; in that thread no
    ///   others are.
    /// - Throws: of the path `/dev/fuse` where the kernel has no FUSE.
    public init(
        size: ByteCount, reading descriptors: [Int32], read: @escaping Reader
    ) throws(SystemError) {
        let channel = try Self.openChannel()
        let number = channel.descriptor.rawValue
        let service = FileService(channel: channel.descriptor, size: size.bytes, read: read)
        self.service = service
        do {
            // Its root is no directory but the file. Before it is mounted nobody can read from the channel.
            let mount = try DetachedMount(
                of: "dmsnap", type: "fuse",
                options: ["fd=\(number)", "rootmode=100400", "user_id=0", "group_id=0"])
            server = try service.start(keeping: descriptors + [number])
            try channel.close()
            file = Mutex(try OwnedDescriptor.open(mount.root, .readOnly).kept())
        } catch let error as SystemError {
            throw error
        } catch {
            let cause = (error as? MountFailure)?.errno ?? .ioError
            throw SystemError(operation: "mount", path: "/dev/fuse", errno: cause)
        }
    }

    deinit { release() }

    /// Opens it, as long as it was not let go of.
    public var path: FilePath? {
        file.withLock { file in file.map { FilePath("/proc/self/fd/\($0.rawValue)") } }
    }

    /// The first failure of its reader.
    public var failure: (any Error)? { service.failure.withLock { $0 } }

    /// Lets go of it; who has it open reads on.
    public func release() {
        file.withLock { file in
            try? file?.close()
            file = nil
        }
    }

    /// Lets go of it, and returns when nobody has it open any more.
    public func finish() {
        release()
        server.join()
    }

    private static func openChannel() throws(SystemError) -> OwnedDescriptor {
        do {
            return try OwnedDescriptor.open("/dev/fuse", .readWrite)
        } catch {
            // Without systemd there is no node before the module is loaded, which is loaded by its node.
            let isMissing: [Errno] = [
                .noSuchFileOrDirectory, .noSuchAddressOrDevice, Errno(rawValue: ENODEV),
            ]
            guard isMissing.contains(error.errno) else { throw error }
            _ = try? Program.run(["/sbin/modprobe", "fuse"], isSilent: true)
            return try OwnedDescriptor.open("/dev/fuse", .readWrite)
        }
    }
}

/// The answers to the kernel's requests, one after the other.
private final class FileService: Sendable {
    private let channel: FileDescriptor
    private let size: UInt64
    private let read: ServedFile.Reader
    let failure = Mutex<(any Error)?>(nil)

    /// More than FUSE_MIN_READ_BUFFER, and than a request to write would take, which there are none of.
    private static let requestSize = 64 << 10
    /// The least that the kernel takes for it.
    private static let maxWrite: UInt32 = 4096
    /// With which the kernel sends what the answers here are made for.
    private static let minorVersion: UInt32 = 31
    private static let forever: UInt64 = 1 << 31

    init(channel: FileDescriptor, size: UInt64, read: @escaping ServedFile.Reader) {
        self.channel = channel
        self.size = size
        self.read = read
    }

    /// Starts the thread that answers, and returns when nothing in this process but that thread needs the
    /// channel.
    ///
    /// Some answers the kernel waits for whatever signal comes, that to a close(2) for one. When a process
    /// is killed its threads end one by one, and what all of them have open is closed by the last: one that
    /// waited for the thread that answers would wait for good, as long as it had the channel open itself.
    func start(keeping descriptors: [Int32]) throws(SystemError) -> WorkerThread {
        let outcome = Gate<Result<Void, SystemError>?>(nil)
        let thread = WorkerThread.start {
            var kept = descriptors
            let isAlone = Result { () throws(SystemError) in
                _ = try systemCall("unshare", "/dev/fuse") {
                    unsafe clinux_keep_for_thread(&kept, kept.count)
                }
            }
            outcome.change { $0 = isAlone }
            if case .success = isAlone { self.serve() }
        }
        guard let thread else {
            throw SystemError(
                operation: "start", path: "/dev/fuse", errno: .resourceTemporarilyUnavailable)
        }
        try outcome.wait { $0 }.get()
        return thread
    }

    /// Answers until the file system is gone.
    private func serve() {
        var request = [UInt8](repeating: 0, count: Self.requestSize)
        while true {
            let count = unsafe request.withUnsafeMutableBytes {
                unsafe Glibc.read(channel.rawValue, $0.baseAddress, $0.count)
            }
            if count < 0 {
                // ENOENT is a request that was taken back meanwhile; ENODEV is the end.
                if [EINTR, EAGAIN, ENOENT].contains(errno) { continue }
                return
            }
            unsafe request.withUnsafeBytes {
                unsafe answer(UnsafeRawBufferPointer(rebasing: $0[..<count]))
            }
        }
    }

    private func answer(_ request: UnsafeRawBufferPointer) {
        guard let header = unsafe Self.load(fuse_in_header.self, request) else { return }
        let body = unsafe UnsafeRawBufferPointer(
            rebasing: request[MemoryLayout<fuse_in_header>.size...])
        switch fuse_opcode(header.opcode) {
        case FUSE_INIT:
            // An older kernel's is shorter; this much all have.
            guard body.count >= 16 else { break }
            let words = (0..<4).map {
                unsafe body.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)
            }
            reply(to: header, initialization(minor: words[1], readahead: words[2], flags: words[3]))
            return
        case FUSE_GETATTR:
            reply(to: header, attributes)
            return
        case FUSE_OPEN:
            // Past the page cache Linux 6.1 frees pages twice that a loop device reads into.
            guard let wanted = unsafe Self.load(fuse_open_in.self, body),
                wanted.flags & UInt32(bitPattern: clinux_o_direct()) == 0
            else {
                reply(to: header, error: EINVAL)
                return
            }
            var open = fuse_open_out()
            open.open_flags = UInt32(FOPEN_KEEP_CACHE)
            reply(to: header, open)
            return
        case FUSE_READ:
            guard let wanted = unsafe Self.load(fuse_read_in.self, body) else { break }
            replyContents(to: header, from: wanted.offset, count: Int(wanted.size))
            return
        case FUSE_RELEASE, FUSE_DESTROY:
            reply(to: header, error: 0)
            return
        case FUSE_FORGET, FUSE_BATCH_FORGET, FUSE_INTERRUPT:
            return
        default: break
        }
        reply(to: header, error: ENOSYS)
    }

    private static func load<Value>(_ type: Value.Type, _ bytes: UnsafeRawBufferPointer) -> Value? {
        guard bytes.count >= MemoryLayout<Value>.size else { return nil }
        return unsafe bytes.loadUnaligned(as: type)
    }

    private func initialization(
        minor: UInt32, readahead: UInt32, flags: UInt32
    ) -> fuse_init_out {
        var out = fuse_init_out()
        out.major = UInt32(FUSE_KERNEL_VERSION)
        out.minor = min(minor, Self.minorVersion)
        out.max_readahead = readahead
        out.flags = flags & UInt32(FUSE_ASYNC_READ)
        out.max_write = Self.maxWrite
        out.time_gran = 1
        return out
    }

    private var attributes: fuse_attr_out {
        var out = fuse_attr_out()
        out.attr_valid = Self.forever
        out.attr.ino = UInt64(FUSE_ROOT_ID)
        out.attr.size = size
        out.attr.blocks = size / 512
        out.attr.mode = S_IFREG | S_IRUSR
        out.attr.nlink = 1
        out.attr.blksize = 4096
        return out
    }

    private func replyContents(to header: fuse_in_header, from offset: UInt64, count: Int) {
        let start = MemoryLayout<fuse_out_header>.size
        let length = min(count, Int(clamping: size - min(offset, size)))
        var answer = [UInt8](repeating: 0, count: start + length)
        do {
            var span = answer.mutableSpan
            var contents = span._mutatingExtracting(start..<start + length)
            if length > 0 { try read(&contents, offset) }
        } catch {
            failure.withLock { if $0 == nil { $0 = error } }
            reply(to: header, error: EIO)
            return
        }
        send(&answer, to: header, error: 0)
    }

    private func reply<Value: BitwiseCopyable>(to header: fuse_in_header, _ value: Value) {
        var answer = [UInt8](repeating: 0, count: MemoryLayout<fuse_out_header>.size)
        unsafe withUnsafeBytes(of: value) { unsafe answer.append(contentsOf: $0) }
        send(&answer, to: header, error: 0)
    }

    private func reply(to header: fuse_in_header, error: Int32) {
        var answer = [UInt8](repeating: 0, count: MemoryLayout<fuse_out_header>.size)
        send(&answer, to: header, error: error)
    }

    /// - Parameter answer: with room for the header at its beginning.
    private func send(_ answer: inout [UInt8], to header: fuse_in_header, error: Int32) {
        let out = fuse_out_header(
            len: UInt32(answer.count), error: -error, unique: header.unique)
        unsafe answer.withUnsafeMutableBytes {
            unsafe $0.storeBytes(of: out, as: fuse_out_header.self)
            // Whoever asked may have gone: then nobody wants it.
            _ = unsafe Glibc.write(channel.rawValue, $0.baseAddress, $0.count)
        }
    }
}
