import Block
import Glibc
import SystemPackage

/// Who works on an image file that no loop device of ours holds: nothing in the kernel keeps two
/// restores, or a restore and an activation, apart there.
struct ImageHold {
    let kernel: any Kernel
    let layout: Layout

    /// Runs `body` as the only one of us that does, where nobody else uses the file either.
    ///
    /// - Throws: `busy` if somebody does.
    func holding<Result>(_ path: FilePath, _ body: () throws -> Result) throws -> Result {
        guard let taken = try lock(path) else {
            throw SessionsError.busy(
                device: path.string, reason: "another dmsnap command works on it",
                advice: "wait for its end")
        }
        return try taken.holding {
            try refuseUsed(path)
            return try body()
        }
    }

    /// Root's is a file that root alone can take. Anybody who can read an image can lock the image
    /// itself, so that is good enough only for an ordinary user, whose own it is.
    private func lock(_ path: FilePath) throws -> FileLock? {
        guard geteuid() == 0 else { return try FileLock.takeIfFree(existing: path) }
        try Files.makeDirectory(layout.runDirectory)
        return try FileLock.takeIfFree(layout.imageLock(FileIdentity(FileStatus(path))))
    }

    /// A virtual machine, swap, another program that has the file locked to write.
    private func refuseUsed(_ path: FilePath) throws {
        guard let use = try kernel.use(ofImage: path) else { return }
        throw SessionsError.busy(device: path.string, reason: use, advice: "end that first")
    }
}
