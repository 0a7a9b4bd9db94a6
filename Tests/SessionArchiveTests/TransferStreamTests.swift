import SystemPackage
import Testing

@testable import SessionArchive

@Suite("A stream of frames")
struct TransferStreamTests {
    private static let frames = [
        TransferFrame(kind: 1, payload: []),
        TransferFrame(kind: 7, payload: [1, 2, 3]),
        TransferFrame(kind: .max, payload: [UInt8](repeating: 9, count: 40)),
    ]
    /// Where each frame ends.
    private static let ends = [20, 43, 103]

    private static func stream(_ frames: [TransferFrame]) -> [UInt8] {
        var chain: UInt64 = 0
        return frames.flatMap { $0.head(chain: &chain) + $0.payload }
    }

    /// What an input gives before it ends or is refused.
    private func read(_ bytes: [UInt8]) throws -> (frames: [TransferFrame], fault: TransferFault?) {
        let pipe = try FileDescriptor.pipe()
        defer { try? pipe.readEnd.close() }
        _ = try pipe.writeEnd.writeAll(bytes)
        try pipe.writeEnd.close()
        var input = TransferInput(pipe.readEnd)
        var frames: [TransferFrame] = []
        do throws(TransferFault) {
            while let frame = try input.next() { frames.append(frame) }
        } catch {
            return (frames, error)
        }
        return (frames, nil)
    }

    @Test("Frames come back as they were sent")
    func round() throws {
        let bytes = Self.stream(Self.frames)
        #expect(bytes.count == Self.ends.last)
        let result = try read(bytes)
        #expect(result.frames == Self.frames && result.fault == nil)
    }

    @Test("What an output writes is what an input reads")
    func output() throws {
        let pipe = try FileDescriptor.pipe()
        var output = TransferOutput(pipe.writeEnd, name: "a pipe")
        for frame in Self.frames { try output.write(frame) }
        try pipe.writeEnd.close()
        defer { try? pipe.readEnd.close() }
        var input = TransferInput(pipe.readEnd)
        for frame in Self.frames { #expect(try input.next() == frame) }
        #expect(try input.next() == nil)
    }

    @Test("A flipped bit anywhere is noticed, and nothing from there on is given")
    func flipped() throws {
        let bytes = Self.stream(Self.frames)
        for place in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[place] ^= 1 << UInt8(bit)
                let result = try read(damaged)
                #expect(result.fault != nil)
                #expect(
                    result.frames
                        == Array(Self.frames.prefix(Self.ends.count { $0 <= place })))
            }
        }
    }

    @Test("A stream that is cut anywhere gives the frames before, and says that it is cut")
    func cut() throws {
        let bytes = Self.stream(Self.frames)
        for length in bytes.indices {
            let result = try read([UInt8](bytes[..<length]))
            let isBetween = length == 0 || Self.ends.contains(length)
            #expect(result.fault == (isBetween ? nil : .cut))
            #expect(
                result.frames == Array(Self.frames.prefix(Self.ends.count { $0 <= length })))
        }
    }

    @Test("A frame that is lost, repeated or in another place is noticed")
    func disordered() throws {
        let bytes = Self.stream(Self.frames)
        let parts = [bytes[..<20], bytes[20..<43], bytes[43...]]
        for order in [[1, 2], [0, 2], [0, 0, 1, 2], [0, 2, 1], [1, 0, 2]] {
            #expect(try read(order.flatMap { parts[$0] }).fault == .damaged)
        }
    }

    @Test("A length beyond a frame's is refused before its bytes are awaited")
    func tooLong() throws {
        var bytes = Self.stream([Self.frames[0]])
        bytes[8..<12] = [1, 0, 0x10, 0]
        #expect(try read(bytes).fault == .tooLong(bytes: (1 << 20) + 1))
    }
}
