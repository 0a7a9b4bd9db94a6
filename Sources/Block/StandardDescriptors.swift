internal import CLinux

/// Standard input, output and error, and what is not to be taken for them.
public enum StandardDescriptors {
    /// Opens whichever of 0, 1 and 2 the caller has closed: 0 to read, 1 and 2 to write /dev/null.
    ///
    /// Otherwise the next file that is opened gets the number, and a message goes into a device. So
    /// this comes before everything else in a program.
    ///
    /// - Returns: those that were closed; what is written to them is lost.
    @discardableResult
    public static func ensureOpen() -> Set<Int32> {
        let closed = clinux_open_standard()
        return Set((0..<3).filter { closed & 1 << $0 != 0 })
    }

    /// Marks every other descriptor close-on-exec, just before this process becomes another program:
    /// libraries open some that aren't, libdevmapper's control device among them.
    public static func closeOthersOnExec() {
        clinux_seal_from(3)
    }
}
