import Block

/// `[retention]`, and `[retention.DEVICE]` for what is other of one device.
extension Configuration {
    mutating func setRetention(
        _ entry: SettingsText.Entry, _ refusal: (String) -> SessionsError
    ) throws(SessionsError) {
        let name = entry.words.joined(separator: ".")
        guard let key = entry.words.last, (2...3).contains(entry.words.count) else {
            throw refusal("\(name) is unknown")
        }
        if entry.words.count == 3 {
            let device = ByteText(entry.words[1])
            var rules = retention.devices[device] ?? RetentionRules()
            try rules.set(key, entry.value, name, refusal)
            retention.devices[device] = rules
        } else if key == "min-free" {
            retention.minFree = try Self.share(entry.value, name, refusal)
        } else {
            try retention.rules.set(key, entry.value, name, refusal)
        }
    }

    fileprivate static func share(
        _ value: SettingsText.Value, _ name: String, _ refusal: (String) -> SessionsError
    ) throws(SessionsError) -> Share {
        guard case .string(let text) = value, let share = Share(parsing: text) else {
            throw refusal("\(name) is neither a size (\"10G\") nor a part (\"5%\")")
        }
        return share
    }
}

extension RetentionRules {
    fileprivate mutating func set(
        _ key: String, _ value: SettingsText.Value, _ name: String,
        _ refusal: (String) -> SessionsError
    ) throws(SessionsError) {
        switch key {
        case "keep-last":
            guard case .number(let number) = value, (1...1_000_000).contains(number) else {
                throw refusal("\(name) is not between 1 and 1000000")
            }
            keepLast = number
        case "keep-within":
            guard case .string(let text) = value, let age = Self.age(parsing: text) else {
                throw refusal(
                    "\(name) is no time: a number with h, d or w behind it (\"30d\"), up to a century"
                )
            }
            keepWithin = age
        case "max-size":
            let share = try Configuration.share(value, name, refusal)
            guard share != .percent(0), share != .bytes(ByteCount(0)) else {
                throw refusal("\(name) is 0, so that nothing could be kept; deactivate instead")
            }
            maxSize = share
        default:
            throw refusal("\(name) is unknown")
        }
    }
}
