import Testing

/// Runs the tests. The package manager would write the same, but only together with XCTest's.
@main struct EntryPoint {
    static func main() async {
        await Testing.__swiftPMEntryPoint() as Never
    }
}
