import Foundation
import SystemPackage

/// A directory that goes away with the test.
final class TemporaryDirectory: Sendable {
    let path: FilePath

    init() throws {
        let parent = FileManager.default.temporaryDirectory
        let directory = parent.appendingPathComponent(#"vm test\ \#(UUID().uuidString)"#)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        path = FilePath(directory.path)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path.string)
    }
}
