import Sessions
import SystemPackage

/// Whatever the bytes are: no trap, and no value that can't be.
enum ConfigurationReading {
    private static let layout = Layout()

    static func check(_ bytes: [UInt8]) {
        guard let read = try? Configuration(parsing: bytes, of: "dmsnap.toml", layout: layout)
        else {
            return
        }
        precondition(read.sessionsDirectory.isAbsolute)
        precondition((1...99).contains(read.warnPercent))
        precondition((0...19).contains(read.archiveNiceness))
        precondition(read.archiveThreads.map { (1...256).contains($0) } ?? true)
    }
}
