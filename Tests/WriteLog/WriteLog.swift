public import Block

/// What the kernel's `log-writes` target has logged of one device (drivers/md/dm-log-writes.c): every
/// write, flush and mark, in an order in which they can have become durable.
///
/// A plain write is logged when a flush that was issued after its end has ended, a FUA write at its own
/// end, a mark at once. So what lies between two flushes in the log are first the FUA writes of that
/// time, and then the plain ones.
public struct WriteLog: Sendable {
    /// The flags of an entry.
    public struct Flags: OptionSet, Hashable, Sendable {
        /// As in the entry.
        public let rawValue: UInt64

        /// Any bits.
        public init(rawValue: UInt64) {
            self.rawValue = rawValue
        }

        /// A flush of the device's cache.
        public static let flush = Flags(rawValue: 1)
        /// The write is durable at its end.
        public static let fua = Flags(rawValue: 2)
        /// A discard.
        public static let discard = Flags(rawValue: 4)
        /// A text that somebody sent to the target.
        public static let mark = Flags(rawValue: 8)
        /// A file system calls it metadata.
        public static let metadata = Flags(rawValue: 16)

        static let known: Flags = [.flush, .fua, .discard, .mark, .metadata]
    }

    /// One entry.
    public struct Entry: Hashable, Sendable {
        /// What it is.
        public let flags: Flags
        /// The bytes of the device that it writes; empty for a mark, and for a flush without data. A
        /// flush that came through a linear target begins where that does on the device.
        public let target: Range<UInt64>
        /// Where in the log those bytes are.
        public let data: UInt64
        /// A mark's text.
        public let mark: String?

        /// Whether everything that it writes, and, for a flush, everything that had ended before it,
        /// is on stable storage at its end.
        public var isDurable: Bool { !flags.isDisjoint(with: [.flush, .fua]) }
    }

    /// The logged device's logical block, in bytes: what is written whole or not at all.
    public let sectorSize: UInt64
    /// In the log's order.
    public let entries: [Entry]

    /// Reads the superblock and every entry, without the data, and checks every number.
    ///
    /// - Parameters:
    ///   - log: the log device, or a copy of it. The target must be gone: only at a mark or a FUA write
    ///     the superblock is written, and the target's end is a mark.
    ///   - deviceSize: the logged device's length in bytes.
    public init(
        of log: borrowing OwnedDescriptor, deviceSize: UInt64
    ) throws(WriteLogError) {
        let head = try Fields(log, at: 0)
        guard head.number(at: 0) == Self.magic else { throw .notALog }
        guard head.number(at: 8) == 1 else { throw .version(head.number(at: 8)) }
        let count = head.number(at: 16)
        sectorSize = head.number(at: 24) & 0xffff_ffff
        guard (512...65536).contains(sectorSize), sectorSize & (sectorSize - 1) == 0 else {
            throw .sectorSize(sectorSize)
        }
        let logSize: UInt64
        do {
            logSize = try log.size().bytes
        } catch {
            throw .system(error)
        }
        // Each entry takes a sector at least.
        guard count <= logSize / sectorSize else { throw .count(count) }
        let reader = EntryReader(
            sectorSize: sectorSize, deviceSize: deviceSize, logSize: logSize)
        var entries: [Entry] = []
        entries.reserveCapacity(Int(count))
        var place = sectorSize
        for index in 0..<Int(count) {
            do throws(EntryReader.Failure) {
                let entry = try reader.entry(in: log, at: place)
                place = entry.data + UInt64(entry.target.count)
                entries.append(entry)
            } catch {
                switch error {
                case .fault(let fault): throw .entry(index, fault)
                case .system(let error): throw .system(error)
                }
            }
        }
        self.entries = entries
    }

    private static let magic: UInt64 = 0x6a_7366_7773_6872
}

/// A log that can't be read.
public enum WriteLogError: Error, Hashable, Sendable {
    /// What is wrong with an entry.
    public enum Fault: Hashable, Sendable {
        /// The log ends before it does.
        case cutShort
        /// It writes, or says that it writes, beyond the device's end.
        case beyondDevice
        /// A flag that nobody knows.
        case unknownFlags(UInt64)
        /// What a discard leaves on a device depends on the device: make the file systems without.
        case discard
        /// A mark's text is longer than a sector has room for, is no text, or writes something.
        case mark
        /// Data of its own, which only logs of DAX devices have.
        case ownData(UInt64)
    }

    /// It has no superblock.
    case notALog
    /// Another version than 1.
    case version(UInt64)
    /// A sector that no device has.
    case sectorSize(UInt64)
    /// More entries than there is room for.
    case count(UInt64)
    /// The entry of this index is damaged.
    case entry(Int, Fault)
    /// It could not be read.
    case system(SystemError)
}

/// The fields of a header, all of them little-endian.
struct Fields {
    /// Of the superblock (28 bytes) and of an entry alike; what the log ends before is zero.
    static let length = 32
    private let bytes: [UInt8]
    let isWhole: Bool

    init(_ log: borrowing OwnedDescriptor, at offset: UInt64) throws(WriteLogError) {
        do {
            let read = try log.read(count: Self.length, at: offset)
            isWhole = read.count == Self.length
            bytes = read + [UInt8](repeating: 0, count: Self.length - read.count)
        } catch {
            throw .system(error)
        }
    }

    func number(at offset: Int) -> UInt64 {
        bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// Reads one entry and checks it: sector, number of sectors, flags, length of its own data.
struct EntryReader {
    enum Failure: Error {
        case fault(WriteLogError.Fault)
        case system(SystemError)
    }

    let sectorSize: UInt64
    let deviceSize: UInt64
    let logSize: UInt64

    func entry(
        in log: borrowing OwnedDescriptor, at place: UInt64
    ) throws(Failure) -> WriteLog.Entry {
        guard place <= logSize, logSize - place >= sectorSize else { throw .fault(.cutShort) }
        let fields: Fields
        do throws(WriteLogError) {
            fields = try Fields(log, at: place)
        } catch {
            guard case .system(let error) = error else { throw .fault(.cutShort) }
            throw .system(error)
        }
        guard fields.isWhole else { throw .fault(.cutShort) }
        let flags = WriteLog.Flags(rawValue: fields.number(at: 16))
        guard flags.isSubset(of: .known) else { throw .fault(.unknownFlags(flags.rawValue)) }
        if flags.contains(.discard) { throw .fault(.discard) }
        let target = try range(fields.number(at: 0), fields.number(at: 8))
        let length = fields.number(at: 24)
        let data = place + sectorSize
        guard logSize - data >= UInt64(target.count) else { throw .fault(.cutShort) }
        guard flags.contains(.mark) else {
            guard length == 0 else { throw .fault(.ownData(length)) }
            return WriteLog.Entry(flags: flags, target: target, data: data, mark: nil)
        }
        guard flags == .mark, target.isEmpty, length <= sectorSize - UInt64(Fields.length) else {
            throw .fault(.mark)
        }
        let text: [UInt8]
        do {
            text = try log.read(count: Int(length), at: place + UInt64(Fields.length))
        } catch {
            throw .system(error)
        }
        guard let mark = String(validating: text, as: UTF8.self) else { throw .fault(.mark) }
        return WriteLog.Entry(flags: flags, target: target, data: data, mark: mark)
    }

    /// Sectors as bytes of the device.
    private func range(_ sector: UInt64, _ count: UInt64) throws(Failure) -> Range<UInt64> {
        let start = sector.multipliedReportingOverflow(by: sectorSize)
        let length = count.multipliedReportingOverflow(by: sectorSize)
        guard !start.overflow, !length.overflow, start.partialValue <= deviceSize,
            length.partialValue <= deviceSize - start.partialValue
        else { throw .fault(.beyondDevice) }
        return start.partialValue..<start.partialValue + length.partialValue
    }
}
