import Foundation
import SystemPackage

/// The processor that a machine runs on, taken until it is let go of or this process ends.
///
/// User-Mode Linux and each process of its guest hand over to each other at every system call and
/// every page fault of the guest. On one processor that takes half the time that it takes on two.
final class Processor: Sendable {
    /// The kernel's number of it.
    let number: Int
    /// Whoever has bound it has the place; the kernel gives it back with the process.
    private let place: Int32

    private init(number: Int, place: Int32) {
        self.number = number
        self.place = place
    }

    deinit { close(place) }

    /// The processor, of those that we may run on, that the fewest machines have; nil if nobody can tell.
    ///
    /// Machines that are started in one moment share them out, too: each takes a place of its own.
    ///
    /// - Parameter group: who shares with whom.
    static func quietest(group: String = "vm-processor") -> Processor? {
        let allowed = allowed()
        guard !allowed.isEmpty else { return nil }
        for machines in 0..<64 {
            for number in allowed {
                if let place = take("\(group)-\(number)-\(machines)") {
                    return Processor(number: number, place: place)
                }
            }
        }
        return nil
    }

    /// "0-2,5", as the kernel writes it, as numbers; none for what isn't such a list.
    static func numbers(in list: some StringProtocol) -> [Int] {
        list.split(separator: ",").flatMap { part -> [Int] in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else { return [] }
            return Array(first...last)
        }
    }

    private static func allowed() -> [Int] {
        let key = "Cpus_allowed_list:"
        let status = FileManager.default.contents(atPath: "/proc/self/status") ?? Data()
        let lines = String(decoding: status, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix(key) }) else { return [] }
        return numbers(in: line.dropFirst(key.count).drop(while: \.isWhitespace))
    }

    /// Binds a socket to a name in no file system, which one process at a time can.
    private static func take(_ name: String) -> Int32? {
        let socket = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // The name begins with a zero byte.
        let offset = MemoryLayout<sa_family_t>.size + 1
        unsafe withUnsafeMutableBytes(of: &address) { bytes in
            for (index, byte) in name.utf8.enumerated() { unsafe bytes[offset + index] = byte }
        }
        let failure = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(socket, $0, socklen_t(offset + name.utf8.count))
            }
        }
        guard failure == 0 else {
            close(socket)
            return nil
        }
        return socket
    }
}
