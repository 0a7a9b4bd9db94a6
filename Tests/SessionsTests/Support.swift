import Block
import Glibc
import KernelSimulation
import SystemPackage
import Testing

@testable import Sessions

func setMode(_ path: FilePath, _ mode: UInt32) throws {
    guard (unsafe path.withPlatformString { unsafe chmod($0, mode) }) == 0 else {
        throw Errno(rawValue: errno)
    }
}

func symbolicLink(_ path: FilePath, to target: FilePath) throws {
    let result = unsafe target.withPlatformString { target in
        unsafe path.withPlatformString { unsafe symlink(target, $0) }
    }
    guard result == 0 else { throw Errno(rawValue: errno) }
}

/// Holds a world against what always holds.
///
/// - Parameter what: what had happened.
func check(
    _ world: World, _ what: String = "", afterDeath: Bool = false,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let faults = try world.faults(afterDeath: afterDeath)
    if !faults.isEmpty {
        Issue.record("\(what): \(faults.joined(separator: "; "))", sourceLocation: sourceLocation)
    }
}
