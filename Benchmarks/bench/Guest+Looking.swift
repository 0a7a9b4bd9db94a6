import Block
import SystemPackage

/// Looking into a session, and what it takes to give a chain a member less.
extension Guest {
    private static let activate =
        "dmsnap activate \(disk) --passfile /root/password --chunk-size 4K > /dev/null"

    /// An open session with more than 10⁵ exceptions, beside a snapshot that LVM makes of a volume with
    /// the same file on it.
    mutating func looking() async throws {
        try await configure(readBack: false)
        try await sh(
            """
            mkdir -p /bench/now /bench/then /bench/volume /bench/lvm
            truncate -s 4G /scratch/lvm; losetup --direct-io=on /dev/loop7 /scratch/lvm
            vgcreate -q bench /dev/loop7; lvcreate -q -y -L 1G -n origin bench
            mkfs.ext4 -q /dev/bench/origin; mount /dev/bench/origin /bench/volume
            mkfs.ext4 -q -F \(Self.disk); \(Self.activate); path=$(dmsnap status --json | jq -r '.[0].path')
            """)
        let path = try await sh("dmsnap status --json | jq -r '.[0].path'")
        let fill = "dd if=/dev/urandom bs=1M count=420 conv=notrunc,fsync status=none"
        try await sh(
            """
            mount \(path) /bench/now; echo small > /bench/now/small; \(fill) of=/bench/now/large
            \(Self.unmount); mount \(path) /bench/now; \(fill) of=/bench/now/large; echo new > /bench/now/small
            \(fill) of=/bench/volume/large; sync
            """)
        let session = try await sh("dmsnap sessions --json | jq -r '.[-1].name'")
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "browse", contents: "open session, 107,000 chunks",
                    against: "lvcreate -s, mount", wanted: 1),
                rounds: 5,
                ours: {
                    let time = try await time("dmsnap browse \(session) /bench/then > /dev/null")
                    try await sh("dmsnap browse --stop /bench/then")
                    return time
                },
                theirs: {
                    let time = try await time(
                        """
                        lvcreate -q -y -s -L 512M -n now bench/origin > /dev/null
                        mount -o ro /dev/bench/now /bench/lvm
                        """)
                    try await sh("umount /bench/lvm; lvremove -q -y bench/now > /dev/null")
                    return time
                }))
        try await sh("rm -f /scratch/small")
        results.figures.append(
            Figure(
                what: "read from the store and the device to copy a file of one block",
                value: try await read(by: "dmsnap copy \(session) small /scratch/small > /dev/null")
                    / 1024,
                unit: "KiB", limit: nil))
        try await exporting(path)
        try await diffing(path)
        try await trying()
        try await sh(
            """
            \(Self.unmount); dmsnap deactivate \(Self.disk) --passfile /root/password > /dev/null
            umount /bench/volume; vgchange -q -an bench; vgremove -q -f bench; losetup -d /dev/loop7
            rm -r /scratch/lvm /snapshot/*
            """)
    }

    /// An image of the device as it was, made anew and brought up to date where 8 MiB changed, beside one of
    /// the device as it is, which is all that dd can make.
    private mutating func exporting(_ path: String) async throws {
        try await sh(
            """
            \(Self.unmount); mount \(path) /bench/now
            dd if=/dev/urandom of=/bench/now/large bs=1M count=8 seek=100 conv=notrunc,fsync status=none
            """)
        let names = try await sh("dmsnap sessions --json | jq -r '.[-2,-1].name'").split(
            separator: "\n")
        let image = "/scratch/export.img"
        func copy() async throws -> Double {
            try await sh("rm -f /scratch/dd.img")
            return try await time("dd if=\(path) of=/scratch/dd.img bs=1M conv=fsync status=none")
        }
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "export", contents: "1 GiB, a new image", against: "dd bs=1M", wanted: nil
                ),
                rounds: 3,
                ours: {
                    try await sh("rm -f \(image) \(image).dmsnap")
                    return try await time("dmsnap export \(names[0]) \(image) > /dev/null")
                },
                theirs: copy))
        var round = 0
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "export", contents: "1 GiB, of which 8 MiB changed", against: "dd bs=1M",
                    wanted: nil),
                rounds: 5,
                ours: {
                    round += 1
                    return try await time(
                        "dmsnap export \(names[round % 2]) \(image) > /dev/null")
                },
                theirs: copy))
        try await sh("rm -f /scratch/dd.img \(image) \(image).dmsnap")
    }

    /// What a session changed among many files, beside a look at each of them at both moments.
    private mutating func diffing(_ path: String) async throws {
        try await sh(
            """
            \(Self.unmount); \(Self.mount(path))
            for d in $(seq 50); do mkdir /bench/now/$d; (cd /bench/now/$d; seq 1000 | xargs touch); done
            \(Self.unmount); \(Self.mount(path)); rm /bench/now/7/[1-9]; echo x > /bench/now/8/1
            \(Self.unmount)
            """)
        let session = try await sh("dmsnap sessions --json | jq -r '.[-1].name'")
        try await sh(
            "dmsnap browse \(session) /bench/then > /dev/null; mount -o ro \(path) /bench/now")
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "diff", contents: "50,000 files, of which 10 changed",
                    against: "find -printf, of both"),
                rounds: 5,
                ours: {
                    try await time("dmsnap diff \(session) > /dev/null", before: Self.cold)
                },
                theirs: {
                    try await time(
                        "find /bench/then /bench/now -printf '%p %C@ %s\n' > /dev/null",
                        before: Self.cold)
                }))
        try await sh("dmsnap browse --stop /bench/then")
    }

    /// A command that does nothing, beside the program's start alone.
    private mutating func trying() async throws {
        results.measurements.append(
            try await compare(
                Measurement(
                    what: "try", contents: "a command that does nothing",
                    against: "dmsnap --version", wanted: 1 / 8),
                rounds: 5,
                ours: {
                    try await time("dmsnap try \(Self.disk) /bench/then -- true 2> /dev/null")
                },
                theirs: { try await time("dmsnap --version > /dev/null") }))
    }

    /// When a session's beginning has been seen.
    private static func mount(_ path: String) -> String {
        "mount \(path) /bench/now; until dmsnap status --json | grep '\"open\"' > /dev/null; do sleep 0.1; done"
    }

    /// When a session's end has been seen.
    private static let unmount =
        "umount /bench/now; until dmsnap status --json | grep '\"armed\"' > /dev/null; do sleep 0.1; done"

    /// The bytes that the disks gave while a script ran, with nothing of them cached.
    private func read(by script: String) async throws -> Double {
        let sectors =
            "cat /sys/block/ubd*/stat | awk '{ sum += $3 } END { print sum }'"
        try await sh(Self.cold)
        let before = try await sh(sectors)
        try await sh(script)
        let after = try await sh(sectors)
        return ((Double(after) ?? 0) - (Double(before) ?? 0)) * 512
    }
}
