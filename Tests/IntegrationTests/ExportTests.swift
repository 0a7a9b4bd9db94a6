import Block
import ExceptionStore
import Glibc
import SystemPackage
import Testing

extension IntegrationTests.Browse {
    @Test(
        "An image of each session is what the device was, whole or brought up to it, and a map shows what changed",
        arguments: fileSystems)
    func exported(fileSystem: FileSystem) async throws {
        try await Rig.with(fileSystem.kind, size: fileSystem.megabytes << 20) { rig in
            try await sh("\(fileSystem.make) \(rig.device) > /dev/null; mkdir \(rig.directory)/was")
            try await rig.activate()
            var names: [String] = []
            let isFirst = fileSystem.name == "ext4"
            for number in 0..<(isFirst ? 3 : 1) {
                try await sh(
                    """
                    if [ -b \(rig.device) ]; then blockdev --flushbufs \(rig.device); fi
                    cp --sparse=always \(rig.device) \(rig.directory)/was/\(number)
                    """)
                names.append(
                    try await rig.mounted(
                        "head -c 2M /dev/urandom > file\(number % 2); echo \(number) > number"
                    ).name)
            }
            let image = "\(rig.directory)/image"
            let isWhole = same("\(rig.directory)/other", "\(rig.directory)/was/2")
            func export(_ number: Int, saying part: String = "") async throws -> String {
                let said = try await sh(
                    "cd \(rig.directory); dmsnap export \(names[number]) image 2>&1; ls")
                #expect(!said.contains("image.dmsnap.lock"))
                #expect(said.contains(part), "\(said)")
                try await sh(same(image, "\(rig.directory)/was/\(number)"))
                return said
            }
            // While it is mounted and written to.
            try await rig.mount()
            try await sh("cd \(rig.mountPoint); head -c 5M /dev/urandom > file0; sync")
            let whole = try await export(isFirst ? 1 : 0)
            #expect(!whole.contains("all of"))
            let blocks = try await sh("stat -c '%b' \(image)")
            #expect(try #require(Int(blocks)) * 512 < fileSystem.megabytes << 19)
            guard isFirst else { return }

            for number in [0, 2] { #expect(try await !export(number).contains("all of")) }
            try await rig.unmount()
            #expect(try await export(2).contains("0 B were compared and 0 B written"))
            #expect(try await Dmsnap.must(["show", names[1]]).contains("of the device"))
            try await sh(
                """
                dmsnap show \(names[1]) --svg \(rig.directory)/map.svg > /dev/null
                python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' \
                    \(rig.directory)/map.svg
                """)
            // What was changed by hand is seen, and put right.
            try await sh("printf x | dd of=\(image) bs=1 seek=40000000 conv=notrunc status=none")
            _ = try await export(1, saying: "changed or copied since")
            // One that was killed is no image, and the next one makes it one.
            for delay in ["0.6", "1.2"] {
                try await sh(
                    """
                    timeout -s KILL \(delay) dmsnap export \(names[2]) \(image) > /dev/null 2>&1 || :
                    timeout -s KILL \(delay) dmsnap export \(names[2]) \(rig.directory)/other > /dev/null 2>&1 || :
                    if [ -e \(rig.directory)/other ]; then \(isWhole); fi
                    """)
            }
            _ = try await export(2)
            try await sh(
                """
                dmsetup udevcomplete_all --yes > /dev/null
                dmsnap export \(names[2]) \(rig.directory)/other > /dev/null
                \(isWhole)
                """)
            // What is no export of this device's is left alone.
            for (make, said) in [
                ("echo precious > \(rig.directory)/mine", "remove it, or name another file"),
                ("ln -sfn image \(rig.directory)/mine", "it is a link"),
                ("rm \(rig.directory)/mine; mkfifo \(rig.directory)/mine", "it is a fifo"),
            ] {
                try await sh(make)
                try await Dmsnap.refuses(
                    ["export", names[1], "\(rig.directory)/mine"], status: 64, saying: [said])
            }
            try await sh("flock \(image).dmsnap.lock sleep 30 > /dev/null 2>&1 & sleep 0.5")
            try await Dmsnap.refuses(
                ["export", names[1], image], status: 75, saying: ["another export"])
            try await sh("pkill -x sleep; rm \(image).dmsnap.lock; losetup /dev/loop60 \(image)")
            try await Dmsnap.refuses(
                ["export", names[1], image], status: 75, saying: ["/dev/loop60"])
            try await sh("losetup -d /dev/loop60")
            try await rig.deactivate()
            _ = try await export(1)
            try await sh(
                "dmsnap restore --session \(names[0]) --yes > /dev/null 2>&1; "
                    + same(rig.device, "\(rig.directory)/was/0"))
        }
    }

    // It was once: a thread in a call that no signal ends, and the one that would have answered it dead.
    @Test("A program that is killed while it waits for what it serves itself ends")
    func killedWhileItWaits() async {
        await #expect(processExitsWith: .signal(SIGKILL)) {
            let isAsked = Gate(false)
            let served = try ServedFile(size: ByteCount(1 << 20), reading: []) { _, _ in
                isAsked.change { $0 = true }
                while true { sleep(1000) }
            }
            let path = try #require(served.path)
            let file = try OwnedDescriptor.open(path, .readOnly)
            _ = WorkerThread.start {
                var byte: [UInt8] = [0]
                var span = byte.mutableSpan
                _ = try? OwnedDescriptor.open(path, .readOnly).read(into: &span, at: 0)
            }
            isAsked.wait { $0 ? () : nil }
            _ = WorkerThread.start {
                sleep(1)
                kill(getpid(), SIGKILL)
            }
            // It is answered behind the read.
            try file.close()
        }
    }
}
