import SystemPackage
import Testing

@testable import Block

/// Loop devices as an ordinary user sees them: by what sysfs says alone. The numbers are of devices
/// that no machine has.
@Suite struct LoopHoldersTests {
    let directory: TemporaryDirectory
    let sysfs: FilePath

    init() throws {
        directory = try TemporaryDirectory()
        sysfs = directory.file("sys")
        try Files.makeDirectory(sysfs)
    }

    private func attach(
        _ number: Int32, _ text: String, offset: String = "0", limit: String = "0"
    ) throws {
        let folder = sysfs.appending("loop\(number)").appending("loop")
        try Files.makeDirectory(folder)
        for (name, value) in [("backing_file", text), ("offset", offset), ("sizelimit", limit)] {
            try Files.replace(folder.appending(name), with: Array("\(value)\n".utf8))
        }
    }

    private func holder(_ number: Int32, isWhole: Bool = true) -> LoopDevice.Holder {
        .init(loop: LoopDevice(index: number), isWhole: isWhole)
    }

    private func holders(_ path: FilePath) throws -> [LoopDevice.Holder] {
        try LoopDevice.holders(ofFileAt: path, in: sysfs)
    }

    @Test("A file is found behind a loop device by what it is, under any of its names")
    func byInode() throws {
        let file = try directory.image("disk.img", size: 4096)
        let (hard, soft) = (directory.file("hard"), directory.file("soft"))
        try hardLink(hard, to: file)
        try symbolicLink(soft, to: "disk.img")
        try attach(1_000_001, hard.string)
        try attach(1_000_002, try directory.image("other", size: 4096).string)
        // A device that isn't attached has no such attribute.
        try Files.makeDirectory(sysfs.appending("loop1000003"))
        try Files.makeDirectory(sysfs.appending("sda"))
        for path in [file, hard, soft] { #expect(try holders(path) == [holder(1_000_001)]) }
    }

    @Test("A device over a part of the file is told from one over all of it")
    func parts() throws {
        let file = try directory.image("disk.img", size: 4096)
        try attach(1_000_001, file.string, offset: "512")
        try attach(1_000_002, file.string, limit: "1024")
        #expect(
            try holders(file) == [
                holder(1_000_001, isWhole: false), holder(1_000_002, isWhole: false),
            ])
    }

    @Test("A file that was deleted is not the one that has its name now")
    func deleted() throws {
        let file = try directory.image("disk.img", size: 4096)
        try attach(1_000_001, "\(file.string) (deleted)")
        #expect(try holders(file).isEmpty)
        // Unless it is really called so.
        let odd = try directory.image("disk.img (deleted)", size: 4096)
        #expect(try holders(odd) == [holder(1_000_001)])
        #expect(try holders(file).isEmpty)
    }

    @Test("A name with a line end in it is compared with every byte of it")
    func oddNames() throws {
        let file = try directory.image("disk\n", size: 4096)
        try attach(1_000_001, file.string)
        #expect(try holders(file) == [holder(1_000_001)])
        let composed = try directory.image("e\u{301}", size: 4096)
        try attach(1_000_002, directory.file("\u{E9}").string)
        #expect(try holders(composed).isEmpty)
    }

    @Test("A file that isn't there is held by nobody, and says so")
    func missing() {
        #expect(throws: SystemError.self) { _ = try holders(directory.file("missing")) }
    }
}
