import SystemPackage

extension RunDirectory {
    /// The descriptors of the kernel's process, in their order.
    enum Channel: Int, CaseIterable {
        case null, console, errors, control, output, errorOutput, input
    }

    /// The command line of the kernel.
    ///
    /// `con0` is the console, where the kernel's log goes; the serial lines are our channels.
    func kernelArguments(_ machine: Machine, interactive: Bool) -> [String] {
        let input = interactive ? "fd:\(Channel.input.rawValue)" : "null"
        let disks = machine.disks.enumerated().map { number, disk in
            // d: the file is the disk; don't take it for UML's own copy-on-write format.
            "ubd\(number)d=\(path.appending("disks").appending("\(number)").string),,\(disk.name)"
        }
        return [
            "mem=\(machine.memory.bytes >> 20)M", "uml_dir=\(path.string)/", "umid=uml",
            "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
            "con=null", "con0=null,fd:\(Channel.console.rawValue)", "ssl=null",
            "ssl0=null,fd:\(Channel.control.rawValue)",
            "ssl1=\(input),fd:\(Channel.output.rawValue)",
            "ssl2=null,fd:\(Channel.errorOutput.rawValue)",
            "loglevel=8", "printk.time=1", "printk.devkmsg=on",
            // A panic or a reboot ends the process.
            "panic=-1", "noreboot",
            // udev would have to handle 512 terminals that nobody has used since the nineties.
            "pty.legacy_count=0",
            "init=\(path.appending("guest").appending("init").string)",
        ] + disks
    }
}
