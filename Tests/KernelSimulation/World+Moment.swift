import StoreTesting
import SystemPackage

/// Preparing a world takes longer than most of what is tried with it.
extension World {
    /// A world as it was at one time.
    package struct Moment {
        let files: KeptFiles
        let kernel: SimulatedKernel
        let generator: SeededGenerator
    }

    /// What it is now, to go back to; while nothing of dmsnap's runs.
    package func moment() throws -> Moment {
        kernel.absorb()
        return Moment(
            files: try KeptFiles(directory.path.string), kernel: try kernel.copy(),
            generator: generator)
    }

    /// Makes everything what it was: files (their inodes, too), the kernel, what is random.
    package func goBack(to moment: Moment) throws {
        try moment.files.putBack()
        try kernel.become(moment.kernel)
        generator = moment.generator
    }
}
