public import Block

/// How many sessions of a device stay, how long, and in how much room. What is nil rules nothing.
public struct RetentionRules: Hashable, Sendable {
    /// `keep-last`: so many of the latest stay.
    public var keepLast: Int?
    /// `keep-within`: those stay that ended in so many seconds before the device's latest one.
    public var keepWithin: UInt64?
    /// `max-size`: what a device's sessions may take on disk, of the file system that they are in.
    public var maxSize: Share?

    /// No rule.
    public init() {}

    /// These, and what others say where these say nothing.
    func orElse(_ others: RetentionRules) -> RetentionRules {
        var rules = self
        rules.keepLast = keepLast ?? others.keepLast
        rules.keepWithin = keepWithin ?? others.keepWithin
        rules.maxSize = maxSize ?? others.maxSize
        return rules
    }

    /// Reads digits with a unit: h, d or w, for hours, days and weeks.
    ///
    /// - Returns: in seconds; nil for anything else, for nothing, and for more than a century.
    static func age(parsing text: String) -> UInt64? {
        guard let unit = text.last, let number = UInt64(text.dropLast()), text.first != "+",
            let seconds = ["h": 3600, "d": 86400, "w": 604_800][unit] as UInt64?
        else { return nil }
        let (age, overflow) = number.multipliedReportingOverflow(by: seconds)
        guard !overflow, age > 0, age <= 36_525 * 86400 else { return nil }
        return age
    }
}

/// `[retention]` in the configuration.
public struct RetentionSettings: Hashable, Sendable {
    /// For every device.
    public var rules = RetentionRules()
    /// For single ones: by `<name>` as `dmsnap status` has it, or by path.
    public var devices: [ByteText: RetentionRules] = [:]
    /// `min-free`: with less than that free in the sessions' file system the oldest sessions go.
    public var minFree = Share.percent(10)

    /// Whether there is any rule but that of room.
    var hasRules: Bool {
        rules != RetentionRules() || devices.values.contains { $0 != RetentionRules() }
    }

    /// The defaults: everything is kept as long as there is room.
    public init() {}

    /// What holds for a device.
    func rules(path: ByteText, name: ByteText) -> RetentionRules {
        (devices[path] ?? devices[name]).map { $0.orElse(rules) } ?? rules
    }

    /// How much is to be free in a file system of this size: never less than `reserve`, with which
    /// nothing is captured any more. 0 where room is no reason to delete.
    func minFree(of size: ByteCount, reserve: ByteCount) -> ByteCount {
        let wanted = minFree.of(size)
        return wanted.bytes == 0 ? wanted : max(wanted, reserve)
    }
}
