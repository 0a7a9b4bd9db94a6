import Foundation
import SystemPackage
import Testing

@testable import VirtualMachine

@Suite struct DescriptionTests {
    @Test(
        "a size is a number with a suffix",
        arguments: [("1", 1), ("4k", 4096), ("512M", 512 << 20), ("2G", 2 << 30), ("1T", 1 << 40)])
    func size(_ text: String, _ bytes: Int64) {
        #expect(Size(text) == Size(bytes: bytes))
    }

    @Test(
        "what is no size is refused",
        arguments: ["", "G", "0", "-1G", "1.5G", "9999999999T", "1 G"])
    func noSize(_ text: String) {
        #expect(Size(text) == nil)
    }

    @Test(
        "the kernel's list of processors is read",
        arguments: [
            ("0", [0]), ("0-2,5", [0, 1, 2, 5]), ("", []), ("3-1,x", []),
        ])
    func processors(_ list: String, _ numbers: [Int]) {
        #expect(Processor.numbers(in: list) == numbers)
    }

    @Test("machines started at once are spread over the processors, which are free again after")
    func sharing() throws {
        func share(_ count: Int) -> [Int] {
            var taken: [Processor] = []
            for _ in 0..<count {
                Processor.quietest(group: "vm-test-\(getpid())").map { taken.append($0) }
            }
            return taken.map(\.number)
        }
        let processors = Set(share(8))
        let first = share(2 * processors.count)
        #expect(first.count == 2 * processors.count)
        #expect(Set(first.prefix(processors.count)) == processors)
        #expect(share(first.count) == first, "a place was kept")
    }

    @Test("a guest's line is understood also with the ends of a terminal, and in pieces")
    func controlLines() {
        var buffer = LineBuffer()
        #expect(buffer.lines(completedBy: Array("start".utf8)).isEmpty)
        let lines = buffer.lines(completedBy: Array("ed\r\nsignal a.b\nexited 7\nsig".utf8))
        #expect(lines.map(ControlMessage.init(line:)) == [.started, .signal("a.b"), .exited(7)])
        #expect(ControlMessage(line: "exited x") == nil)
    }

    @Test("a layer that would hide the libraries is refused")
    func hidingLayer() throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path.appending("lib").string, withIntermediateDirectories: false)
        var machine = Machine()
        machine.layers = [directory.path]
        #expect(throws: MachineError.self) {
            try RunDirectory(machine, .arguments(["true"]))
        }
    }

    @Test("a missing kernel is told with what to install")
    func missingKernel() {
        #expect(
            "\(MachineError.notInstalled("linux.uml"))".contains("apt-get install user-mode-linux"))
    }
}
