package import Block
package import SystemPackage

/// Why a stream of sessions can't be read on.
package enum TransferFault: Error, Equatable, Sendable {
    /// It ends in a frame.
    case cut
    /// No frame begins here.
    case notAFrame
    /// A payload of this many bytes is declared, more than a frame takes.
    case tooLong(bytes: UInt32)
    /// The frame is not what was sent, or not in its place.
    case damaged
    /// The reader was asked to stop.
    case stopped
    /// Reading failed.
    case failed(Errno)
}

/// Frames out of a descriptor that is read once, from its beginning: a pipe, a socket, a file.
///
/// One frame is in memory at a time.
package struct TransferInput: ~Copyable {
    private let descriptor: FileDescriptor
    private let isCancelled: () -> Bool
    private var chain: UInt64 = 0

    /// - Parameter isCancelled: asked when a signal comes while bytes are waited for.
    package init(_ descriptor: FileDescriptor, isCancelled: @escaping () -> Bool = { false }) {
        self.descriptor = descriptor
        self.isCancelled = isCancelled
    }

    /// - Returns: the next frame, checked; nil where the stream ends behind a whole one.
    package mutating func next() throws(TransferFault) -> TransferFrame? {
        let head = try read(TransferFrame.headBytes)
        if head.isEmpty { return nil }
        guard head.starts(with: TransferFrame.magic.prefix(head.count)) else { throw .notAFrame }
        guard head.count == TransferFrame.headBytes else { throw .cut }
        func number(_ offset: Int, bytes: Int) -> UInt64 {
            head[offset..<offset + bytes].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        let length = UInt32(number(8, bytes: 4))
        guard length <= TransferFrame.mostBytes else { throw .tooLong(bytes: length) }
        let payload = try read(Int(length))
        guard payload.count == Int(length) else { throw .cut }
        let frame = TransferFrame(kind: UInt32(number(4, bytes: 4)), payload: payload)
        guard frame.head(chain: &chain) == head else { throw .damaged }
        return frame
    }

    /// - Returns: so many bytes, or fewer where the stream ends.
    private func read(_ count: Int) throws(TransferFault) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let start = done
            let result = unsafe bytes.withUnsafeMutableBytes { buffer in
                Result {
                    try unsafe descriptor.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: buffer[start...]),
                        retryOnInterrupt: false)
                }
            }
            switch result {
            case .success(0): return Array(bytes.prefix(done))
            case .success(let more): done += more
            case .failure(Errno.interrupted):
                if isCancelled() { throw .stopped }
            case .failure(let error): throw .failed(error as? Errno ?? .ioError)
            }
        }
        return bytes
    }
}

/// Frames into a descriptor.
package struct TransferOutput: ~Copyable {
    private let descriptor: FileDescriptor
    private let name: String
    private var chain: UInt64 = 0

    /// - Parameter name: of the descriptor, for messages.
    package init(_ descriptor: FileDescriptor, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    /// Writes a frame whole.
    package mutating func write(_ frame: TransferFrame) throws(SystemError) {
        do {
            _ = try descriptor.writeAll(frame.head(chain: &chain))
            _ = try descriptor.writeAll(frame.payload)
        } catch {
            throw SystemError(
                operation: "write", path: name, errno: error as? Errno ?? .ioError)
        }
    }
}
