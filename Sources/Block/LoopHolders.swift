public import SystemPackage

extension LoopDevice {
    /// A loop device that has a file; or that may have it, where the name is the same and what is behind
    /// that name can't be looked at.
    public struct Holder: Hashable, Sendable {
        /// Which.
        public let loop: LoopDevice
        /// Whether it has the whole file, and not a part of it.
        public let isWhole: Bool

        /// A holder, from its parts.
        public init(loop: LoopDevice, isWhole: Bool) {
            self.loop = loop
            self.isWhole = isWhole
        }
    }

    /// The loop devices that have this file, for an ordinary user, too.
    ///
    /// Who may open loop devices asks them (LOOP_GET_STATUS64 has the file's inode). Others see their
    /// files' paths in sysfs, and these can lie: one that was attached in another mount namespace, or
    /// is behind a directory that isn't ours to search, can't be looked at. Then the same text counts;
    /// a file that was deleted doesn't, for what has its name now is another.
    ///
    /// - Throws: ENOENT and the like, if the file can't be looked at.
    public static func holders(ofFileAt path: FilePath) throws(SystemError) -> [Holder] {
        try holders(ofFileAt: path, in: "/sys/block")
    }

    /// - Parameter folder: sysfs's directory of block devices, or one like it.
    static func holders(
        ofFileAt path: FilePath, in folder: FilePath
    ) throws(SystemError) -> [Holder] {
        let file = try FileStatus(path)
        let name = ByteText(try Files.resolve(path))
        return ((try? Files.list(folder)) ?? []).compactMap { entry in
            let attributes = folder.appending(entry).appending("loop")
            guard let loop = LoopDevice(FilePath("/dev/\(entry)")),
                let backing = Sysfs.attribute(attributes.appending("backing_file"))
            else { return nil }
            if let backing = loop.backing {
                let isSame =
                    backing.inode == file.inode
                    && DeviceNumber(backing.fileSystem) == DeviceNumber(file.fileSystem)
                return isSame ? Holder(loop: loop, isWhole: backing.isWhole) : nil
            }
            let isWhole = ["offset", "sizelimit"].allSatisfy {
                Sysfs.attribute(attributes.appending($0)) ?? "0" == "0"
            }
            return isBacking(ByteText(backing), file: file, name: name)
                ? Holder(loop: loop, isWhole: isWhole) : nil
        }
    }

    /// Whether the text that sysfs has for a backing file means this file, or may mean it.
    private static func isBacking(_ text: ByteText, file: FileStatus, name: ByteText) -> Bool {
        // A deleted file's text has ` (deleted)` at its end (d_path() in fs/d_path.c), so it names
        // nothing, or a file that is really called so. Both are answered by looking.
        if let status = try? FileStatus(text.path) { return status.isSame(as: file) }
        return text == name
    }
}
