/// Makes sections of contents: decides how they are kept, compresses, checksums.
struct SectionSealer {
    /// Deflated contents have to be smaller by one part in so many, or they are stored: what they
    /// save is not worth inflating them.
    private static let leastSaving = 128
    /// Contents shorter than this are stored: a section's header alone has 40 bytes.
    private static let leastDeflated = 64

    /// Which of a workspace's buffers has a section's payload.
    enum Buffer {
        case contents
        case payload
    }

    /// A section whose header and payload stand one behind the other in a buffer.
    struct Sealed {
        var header: SectionHeader
        var buffer: Buffer
        /// The section's bytes in the buffer.
        var range: Range<Int>
    }

    /// Seals the first `length` bytes of a workspace's contents.
    static func seal(
        _ tag: SectionTag, number: UInt64, length: Int, in workspace: Workspace
    ) -> Sealed {
        let (checksum, deflated) = workspace.contents.use(Workspace.place(length)) { contents in
            (CRC32.of(contents), deflate(contents, workspace))
        }
        guard let deflated else {
            return sealed(
                SectionHeader(
                    tag: tag, method: .stored, number: number, contentsLength: length,
                    payloadLength: length, contentsChecksum: checksum, payloadChecksum: checksum),
                in: .contents)
        }
        let payloadChecksum = workspace.payload.use(Workspace.place(deflated)) { CRC32.of($0) }
        return sealed(
            SectionHeader(
                tag: tag, method: .deflated, number: number, contentsLength: length,
                payloadLength: deflated, contentsChecksum: checksum,
                payloadChecksum: payloadChecksum),
            in: .payload)
    }

    /// A section of zeros, which has no payload, from such contents.
    static func zeros(
        _ tag: SectionTag, number: UInt64, length: Int, in workspace: Workspace
    ) -> Sealed {
        let checksum = workspace.contents.use(Workspace.place(length)) { CRC32.of($0) }
        return sealed(
            SectionHeader(
                tag: tag, method: .zeros, number: number, contentsLength: length, payloadLength: 0,
                contentsChecksum: checksum, payloadChecksum: CRC32.empty),
            in: .contents)
    }

    private static func sealed(_ header: SectionHeader, in buffer: Buffer) -> Sealed {
        let start = Workspace.headroom
        return Sealed(
            header: header, buffer: buffer,
            range: start - SectionHeader.size..<start + Int(header.payloadLength))
    }

    /// The length of the deflated contents in the workspace's payload; nil where that saves nothing.
    private static func deflate(_ contents: Span<UInt8>, _ workspace: Workspace) -> Int? {
        guard contents.count >= leastDeflated, CompressibilityProbe.isWorthDeflating(contents)
        else { return nil }
        let limit = contents.count - max(contents.count / leastSaving, 1)
        return workspace.payload.fill(Workspace.place(limit)) { output in
            workspace.compressor.compress(contents, into: &output)
        }
    }
}

extension Workspace {
    /// Puts the section's header before its payload, and gives the bytes of both.
    func finish(_ sealed: SectionSealer.Sealed) -> ArraySlice<UInt8> {
        let place = sealed.range.prefix(SectionHeader.size)
        switch sealed.buffer {
        case .contents:
            contents.replaceSubrange(place, with: sealed.header.encoded)
            return contents[sealed.range]
        case .payload:
            payload.replaceSubrange(place, with: sealed.header.encoded)
            return payload[sealed.range]
        }
    }
}
