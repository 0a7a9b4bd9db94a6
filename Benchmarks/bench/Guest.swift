import ArgumentParser
import Block
import ExceptionStore
import SystemPackage

/// What needs the kernel's device-mapper; run in User-Mode Linux by `make bench`.
///
/// The disk of 1 GiB is overwritten while activated, in 64 MiB of random 4 KiB pieces, in 512 MiB from
/// its start, and by work on an ext4 file system. What that made is put back, by dmsnap and by others.
struct Guest: AsyncParsableCommand {
    static let disk = "/dev/vm/disk"
    private static let rounds = 5
    private static let random =
        "fio --name=w --rw=randwrite --bs=4k --io_size=64m --size=1g --direct=1 "
        + "--ioengine=io_uring --iodepth=32 --randseed=7 --allow_mounted_write=1 --filename="

    var results = Results()

    /// The parts, as `make bench ONLY=…` names them.
    enum Part: String, CaseIterable, ExpressibleByArgument {
        case random, sequential, files, looking, checkpoints, overlay, mounts
    }

    @Option(help: "Measure this part alone.")
    var only: Part?

    private enum CodingKeys: CodingKey { case only }

    mutating func run() async throws {
        try await sh(
            """
            umask 077; echo secret > /root/password; mkdir -p /etc/dmsnap
            dmsnap passwd --passfile /root/password
            """)
        for part in Part.allCases where only == nil || only == part {
            switch part {
            case .random: try await random()
            case .sequential: try await sequential()
            case .files: try await fileSystem()
            case .looking: try await looking()
            case .checkpoints: try await checkpoints()
            case .overlay: try await overlay()
            case .mounts: try await mounts()
            }
        }
        try Results.print(results)
    }

    /// What a restore is like: from an archive or a raw store, with or without reading back.
    func configure(archive: Bool = false, readBack: Bool) async throws {
        try await sh(
            """
            printf '[archive]\\nenabled = \(archive)\\n[restore]\\nread-back = \(readBack)\\n' \
                > /etc/dmsnap/dmsnap.toml
            """)
    }

    /// Activates the disk, runs a script that changes `$path`, and gives the session's directory.
    private func session(_ script: String) async throws -> String {
        try await configure(readBack: false)
        try await sh(
            """
            dmsnap activate \(Self.disk) --passfile /root/password --chunk-size 4K
            path=$(dmsnap status --json | jq -r '.[0].path')
            \(script)
            dmsnap deactivate \(Self.disk) --passfile /root/password
            """)
        return try await sh("dmsnap sessions --json | jq -r '.[-1].directory'")
    }

    /// The same session as an archive, in a copy of its directory.
    private func archived(_ directory: String) async throws -> String {
        let name = FilePath(directory).lastComponent?.string ?? ""
        try await sh("mkdir -p /scratch/kept; cp -a --sparse=always \(directory) /scratch/kept")
        try await configure(archive: true, readBack: false)
        // A monitor makes the archive, and ends when nothing is left to do.
        try await sh("dmsnap monitor 2> /dev/null")
        let file = "/scratch/\(name).dmsz"
        try await sh(
            "mv \(directory)/chunks.dmsz \(file); rm -r \(directory); mv /scratch/kept/\(name) \(directory)"
        )
        return file
    }

    /// Neither the data nor the disk is in the page cache; the programs are.
    static let cold =
        "sync; echo 3 > /proc/sys/vm/drop_caches; dmsnap --version > /dev/null; "
        + "fio --version > /dev/null; dd --version > /dev/null"

    private func restoring(_ session: String) async throws -> Double {
        try await time(
            "dmsnap restore --session \(session) --device \(Self.disk) --accept-writes "
                + "2> /dev/null",
            before: Self.cold)
    }

    private mutating func random() async throws {
        let directory = try await session(Self.random + "$path > /dev/null")
        let log = "/scratch/iolog"
        try writeLog(of: directory, to: log)
        let fio =
            "fio --name=r --read_iolog=\(log) --ioengine=io_uring --iodepth=64 --direct=1 "
            + "--replay_no_stall=1 --end_fsync=1 --allow_mounted_write=1 > /dev/null"
        try await compareRaw(
            directory, contents: "64 MiB random, raw", against: "fio, the same writes", wanted: 0.8,
            fio)
        try await configure(readBack: false)
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "restore", contents: "64 MiB random, raw",
                    against: "dmsetup, snapshot-merge", wanted: 3),
                rounds: 3, ours: { try await restoring(directory) },
                theirs: { try await merging(directory) }))
        let archive = try await archived(directory)
        try await configure(readBack: false)
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "restore", contents: "64 MiB random, archive",
                    against: "fio, the same writes"),
                rounds: Self.rounds, ours: { try await restoring(archive) },
                theirs: { try await time(fio, before: Self.cold) }))
        results.measurements.append(try await logicalVolume(directory))
        try await sh("rm -r \(directory) \(archive)")
    }

    /// A restore from a raw store beside a script, without and with reading back.
    private mutating func compareRaw(
        _ directory: String, contents: String, against: String, wanted: Double, _ script: String
    ) async throws {
        for readBack in [false, true] {
            try await configure(readBack: readBack)
            results.measurements.append(
                try await compare(
                    Measurement(
                        what: readBack ? "restore and read back" : "restore", contents: contents,
                        against: against, wanted: readBack ? nil : wanted),
                    rounds: Self.rounds, ours: { try await restoring(directory) },
                    theirs: { try await time(script, before: Self.cold) }))
        }
    }

    private mutating func sequential() async throws {
        let directory = try await session(
            "dd if=/dev/urandom of=$path bs=1M count=512 oflag=direct status=none")
        let dd =
            "dd if=\(directory)/store of=\(Self.disk) bs=1M count=512 iflag=direct oflag=direct "
            + "conv=fsync status=none"
        try await compareRaw(
            directory, contents: "512 MiB in sequence, raw", against: "dd bs=1M, direct",
            wanted: 0.95, dd)
        let archive = try await archived(directory)
        try await configure(readBack: false)
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "restore", contents: "512 MiB in sequence, archive",
                    against: "dd bs=1M, direct"),
                rounds: 3, ours: { try await restoring(archive) },
                theirs: { try await time(dd, before: Self.cold) }))
        try await sh("rm -r \(directory) \(archive)")
    }

    private mutating func fileSystem() async throws {
        try await sh("mkfs.ext4 -q -F -E nodiscard \(Self.disk)")
        let directory = try await session(
            """
            mount $path /mnt; cp -a /usr/include /usr/share/perl /mnt; rm -r /mnt/include
            cp -a /usr/share/perl /mnt/again; umount /mnt; sleep 2
            """)
        let archive = try await archived(directory)
        try await configure(readBack: false)
        for (session, form) in [(directory, "raw"), (archive, "archive")] {
            results.measurements.append(
                try await compare(
                    Measurement(
                        what: "restore", contents: "ext4 work, \(form)",
                        against: "dmsetup, snapshot-merge"),
                    rounds: 3, ours: { try await restoring(session) },
                    theirs: { try await merging(directory) }))
        }
        try await sh("rm -r \(directory) \(archive)")
    }

    /// The kernel's own way: a copy of the store merged into the disk.
    private func merging(_ directory: String) async throws -> Double {
        let loop = try await sh(
            """
            cp --sparse=always \(directory)/store /scratch/merging; \(Self.cold)
            losetup -f --show --direct-io=on /scratch/merging
            """)
        let time = try await time(
            """
            sectors=$(blockdev --getsz \(Self.disk))
            dmsetup create merging --table "0 $sectors snapshot-merge \(Self.disk) \(loop) P 8"
            # Everything is merged when the metadata is all that is left.
            until dmsetup status merging | awk '{ split($4, a, "/"); exit !(a[1] == $5) }'; do
                sleep 0.02
            done
            """)
        try await sh("dmsetup remove merging; losetup -d \(loop); rm /scratch/merging")
        return time
    }

    /// LVM's way: a snapshot of a logical volume that had the same writes.
    private func logicalVolume(_ directory: String) async throws -> Measurement {
        try await sh(
            """
            truncate -s 4G /scratch/lvm; losetup --direct-io=on /dev/loop7 /scratch/lvm
            vgcreate -q bench /dev/loop7; lvcreate -q -y -L 1G -n origin bench
            """)
        let measured = try await compare(
            Measurement(
                what: "restore", contents: "64 MiB random, raw", against: "lvconvert --merge",
                wanted: 10),
            rounds: 3, ours: { try await restoring(directory) },
            theirs: {
                try await sh(
                    """
                    lvcreate -q -y -s -c 4k -L 2G -n before bench/origin
                    \(Self.random)/dev/bench/origin > /dev/null; \(Self.cold)
                    """)
                return try await time("lvconvert -q -y --merge --interval 1 bench/before")
            })
        try await sh(
            "vgchange -q -an bench; vgremove -q -f bench; losetup -d /dev/loop7; rm /scratch/lvm")
        return measured
    }

    /// fio's list of the writes that restoring a store takes, in the order in which dmsnap writes.
    private func writeLog(of directory: String, to path: String) throws {
        let size = try OwnedDescriptor.open(FilePath(Self.disk), .readOnly).size()
        let store = try ClosedStore(
            path: FilePath("\(directory)/store"), originSize: size, expecting: nil)
        var text = "fio version 2 iolog\n\(Self.disk) add\n\(Self.disk) open\n"
        for entry in store.exceptions.entries {
            text += "\(Self.disk) write \(entry.originChunk << 12) 4096\n"
        }
        text += "\(Self.disk) close\n"
        try Files.replace(FilePath(path), with: Array(text.utf8))
    }
}
