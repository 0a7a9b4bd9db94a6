import ExceptionStore
import SystemPackage
import Testing

@testable import DmsnapCommands
@testable import Sessions

/// What mount(8) runs as `mount.dmsnap SOURCE DIR [-sfnvN] [-o OPTIONS] [-t TYPE]`.
@Suite struct MountHelperTests {
    @Test("A source and a directory are enough; the type is detected")
    func least() throws {
        let helper = try MountHelper(["disk.img", "/mnt"])
        #expect(helper.source == "disk.img")
        #expect(helper.directory == "/mnt")
        #expect(helper.type == "auto")
        #expect(helper.options == [] && helper.flags == [])
        #expect(helper.passfile == nil && helper.chunkSize == nil)
        #expect(helper.storeDirectory == nil)
    }

    @Test("Our own options are taken, every other goes on to mount(8)")
    func options() throws {
        let helper = try MountHelper([
            "/srv/disk.img", "/mnt", "-v", "-o",
            "rw,noatime,passfile=/p,chunk-size=8K,store-dir=/s,fstype=xfs,x-systemd.automount,uid=1=2",
        ])
        #expect(helper.options == ["rw", "noatime", "x-systemd.automount", "uid=1=2"])
        #expect(helper.passfile == "/p")
        #expect(helper.chunkSize == (try ChunkSize(parsing: "8K")))
        #expect(helper.storeDirectory == "/s")
        #expect(helper.type == "xfs")
        #expect(helper.flags == ["-v"])
    }

    @Test("Options that are about mounting at boot, or about loop devices, end here")
    func ended() throws {
        let helper = try MountHelper([
            "d", "/mnt", "-o", "defaults,loop,loop=/dev/loop3,auto,noauto,nofail",
        ])
        #expect(helper.options == [])
    }

    @Test("Another mount namespace goes on to mount(8), and -f is found among other letters")
    func flags() throws {
        #expect(
            try MountHelper(["d", "/mnt", "-N", "/proc/1/ns/mnt"]).flags == [
                "-N", "/proc/1/ns/mnt",
            ])
        #expect(try MountHelper(["d", "/mnt", "-sf"]).isFake)
        #expect(try !MountHelper(["d", "/mnt", "-N", "/tmp/f", "-v"]).isFake)
    }

    @Test("What fails has one of mount(8)'s exit statuses")
    func statuses() {
        for (error, status) in [
            (.notRoot("mount"), 1), (.wrongPassword, 1), (.noPassword, 1),
            (.passfile(path: "p", reason: "r"), 1), (.noDeviceMapper("r"), 2),
            (.internalFault("r"), 4), (.busy(device: "d", reason: "r", advice: "a"), 32),
            (.noSuchDevice("d"), 32), (.unsuitable(device: "d", reason: "r"), 32),
            (.configuration(path: "p", reason: "r"), 32), (.monitor("r"), 32),
        ] as [(SessionsError, Int32)] {
            #expect(MountStatus(error).rawValue == status, "\(error)")
        }
        #expect(MountStatus(Errno.noMemory) == .system)
    }

    @Test("Options may come before the names and more than once")
    func order() throws {
        let helper = try MountHelper(["-o", "ro", "d", "-o", "noexec,passfile=/p", "/mnt", "-n"])
        #expect(helper.options == ["ro", "noexec"])
        #expect(helper.passfile == "/p")
        #expect(helper.flags == ["-n"])
    }

    @Test(
        "The type inside is given by -t, as dmsnap.TYPE, or detected",
        arguments: [("dmsnap", "auto"), ("dmsnap.ext4", "ext4"), ("vfat", "vfat")])
    func types(given: String, type: String) throws {
        #expect(try MountHelper(["d", "/mnt", "-t", given]).type == type)
    }

    @Test(
        "Without a source and a directory, or with too much, it is a usage error",
        arguments: [
            [], ["d"], ["d", "/mnt", "more"], ["d", "/mnt", "-o"], ["d", "/mnt", "-t"],
            ["d", "/mnt", "-o", "chunk-size=5K"],
        ])
    func refused(words: [String]) {
        let error = #expect(throws: SessionsError.self) { try MountHelper(words) }
        #expect(error?.exitStatus == .usage)
    }
}
