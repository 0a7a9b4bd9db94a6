import SystemPackage

/// What connects us with the machine's process: a file for its console and a pipe for each channel.
struct Channels: Sendable {
    /// What the guest tells about itself, as lines.
    let control: FileDescriptor
    let output: FileDescriptor
    let errorOutput: FileDescriptor
    let input: FileDescriptor

    /// The descriptors for the process, in the order of `RunDirectory.Channel`.
    let guestEnds: [FileDescriptor]

    init(_ directory: RunDirectory) throws(MachineError) {
        let null = try openFile("/dev/null", .readOnly)
        let console = try openFile(directory.console, .writeOnly, options: [.create, .append])
        let control = try Pipe()
        let output = try Pipe()
        let errorOutput = try Pipe()
        let input = try Pipe()
        self.control = control.reading
        self.output = output.reading
        self.errorOutput = errorOutput.reading
        self.input = input.writing
        guestEnds = RunDirectory.Channel.allCases.map { channel in
            switch channel {
            case .null: null
            case .console, .errors: console
            case .control: control.writing
            case .output: output.writing
            case .errorOutput: errorOutput.writing
            case .input: input.reading
            }
        }
    }

    /// Ours must be closed for the pipes to end with the machine.
    func closeGuestEnds() {
        for descriptor in Set(guestEnds) { try? descriptor.close() }
    }
}
