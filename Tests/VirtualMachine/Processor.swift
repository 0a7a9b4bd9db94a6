import Foundation

/// Where a machine runs.
///
/// User-Mode Linux and each process of its guest hand over to each other at every system call and
/// every page fault of the guest. On one processor that takes half the time that it takes on two.
enum Processor {
    /// The processor, of those that we may run on, that the fewest machines run on.
    ///
    /// - Parameter kernel: the last component of the path of the machines' program.
    static func quietest(kernel: String) -> Int? {
        let allowed = processors(allowedTo: "self")
        var machines: [Int: Int] = [:]
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for process in processes where Int32(process) != nil {
            guard leadsMachine(process, of: kernel) else { continue }
            let own = processors(allowedTo: process)
            if own.count == 1 { machines[own[0], default: 0] += 1 }
        }
        return allowed.min { machines[$0, default: 0] < machines[$1, default: 0] }
    }

    /// "0-2,5", as the kernel writes it, as numbers; none for what isn't such a list.
    static func numbers(in list: some StringProtocol) -> [Int] {
        list.split(separator: ",").flatMap { part -> [Int] in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else { return [] }
            return Array(first...last)
        }
    }

    /// A machine is a group of processes, each of which has the kernel's name.
    private static func leadsMachine(_ process: String, of kernel: String) -> Bool {
        // "PID (NAME) STATE PARENT GROUP …"
        guard let stat = contents("/proc/\(process)/stat"),
            stat.hasPrefix("\(process) (\(kernel)) ")
        else { return false }
        let fields = stat.dropFirst(process.count + kernel.count + 4).split(separator: " ")
        return fields.count > 2 && fields[2] == process
    }

    private static func processors(allowedTo process: String) -> [Int] {
        let key = "Cpus_allowed_list:"
        let lines = (contents("/proc/\(process)/status") ?? "").split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix(key) }) else { return [] }
        return numbers(in: line.dropFirst(key.count).drop(while: \.isWhitespace))
    }

    private static func contents(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
}
