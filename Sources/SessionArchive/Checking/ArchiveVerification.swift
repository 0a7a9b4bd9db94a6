/// What verifying an archive found.
public struct ArchiveVerification: Sendable {
    /// The most blocks that are described; more are only counted.
    public static let mostDescribed = 1000

    /// The blocks that were read.
    public internal(set) var blocks: UInt64 = 0
    /// How many of them are damaged.
    public internal(set) var damagedBlocks: UInt64 = 0
    /// The first of these, in their order.
    public internal(set) var damage: [DamagedBlock] = []
    /// What is wrong beyond the blocks; nil where nothing is.
    public internal(set) var otherDamage: ArchiveFault?

    /// Whether every byte is what was written.
    public var isWhole: Bool { damagedBlocks == 0 && otherDamage == nil }
}

extension ArchiveVerification: CustomStringConvertible {
    /// One line for a person.
    public var description: String {
        if isWhole { return "all \(blocks) blocks are good" }
        var parts: [String] = []
        if damagedBlocks > 0 { parts.append("\(damagedBlocks) of \(blocks) blocks are damaged") }
        if let otherDamage { parts.append("\(ArchivePart.whole): \(otherDamage)") }
        return parts.joined(separator: "; ")
    }
}
