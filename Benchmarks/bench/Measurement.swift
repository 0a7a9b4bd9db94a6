/// Two programs that do the same work, and how long each took, round by round.
struct Measurement: Codable {
    /// What is done.
    var what: String
    /// What the chunks hold, or how they lie.
    var contents: String
    /// What it is measured against.
    var against: String
    /// Seconds of dmsnap's, one a round.
    var ours: [Double] = []
    /// Seconds of the other's, in the same rounds.
    var theirs: [Double] = []
    /// The least ratio that is wanted; nil where none is.
    var wanted: Double?

    /// How many times as fast dmsnap is, of every round in ascending order.
    var ratios: [Double] { zip(theirs, ours).map { $0 / $1 }.sorted() }

    var median: Double { ratios.isEmpty ? 0 : ratios[ratios.count / 2] }
}

/// One number that has a limit.
struct Figure: Codable {
    var what: String
    var value: Double
    var unit: String
    var limit: Double?
}

struct Results: Codable {
    var measurements: [Measurement] = []
    var figures: [Figure] = []
}

func seconds(_ duration: Duration) -> Double { duration / .seconds(1) }

/// How long `body` takes, in seconds.
func timed(_ body: () async throws -> Void) async rethrows -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    try await body()
    return seconds(start.duration(to: clock.now))
}

/// Both, in turns: whatever else the machine does meets either.
func compare(
    _ measurement: Measurement, rounds: Int, ours: () async throws -> Double,
    theirs: () async throws -> Double
) async throws -> Measurement {
    var measurement = measurement
    for round in 0..<rounds {
        if round.isMultiple(of: 2) {
            measurement.ours.append(try await ours())
            measurement.theirs.append(try await theirs())
        } else {
            measurement.theirs.append(try await theirs())
            measurement.ours.append(try await ours())
        }
    }
    return measurement
}
