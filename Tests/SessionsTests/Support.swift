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

/// A password of these bytes.
func secret(_ bytes: [UInt8]) -> Secret {
    unsafe bytes.withUnsafeBytes { unsafe Secret(copying: $0) }
}

extension ServicePassword {
    func set(_ new: [UInt8], old: [UInt8]?) throws(SessionsError) {
        try set(secret(new), old: old.map { secret($0) })
    }

    func verify(_ password: [UInt8]) throws(SessionsError) {
        try verify(secret(password))
    }
}

extension Secret {
    /// A copy of what it has.
    var bytes: [UInt8] { unsafe withBytes { unsafe Array($0) } }
}

extension World {
    /// What the monitor does when it starts, and then with each device.
    func monitor() throws {
        let service = try service()
        for activation in try service.activations() { try service.recover(activation.id) }
        for activation in try service.missing() { _ = try service.assemble(activation.id) }
        for watched in try service.observer.watched() {
            if watched.uses.isEmpty {
                _ = try service.rollOver(watched.activation.id)
            } else {
                _ = try service.observer.openSession(watched)
            }
        }
    }

    /// Boots the machine, and assembles what is activated.
    func boot() throws {
        kernel.reboot()
        for (_, result) in try service().assembleAll() { _ = try result.get() }
    }
}
