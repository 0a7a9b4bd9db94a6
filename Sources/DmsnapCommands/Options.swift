import ArgumentParser
import Block
import CLinux
import Glibc
import Sessions
import SystemPackage

/// A device, as an argument or with `--dev`.
struct DeviceOptions: ParsableArguments {
    @Argument(help: "A block device by any of its names, or an image file.")
    var device: String?

    @Option(name: .customLong("dev"), help: "The same as DEVICE.")
    var dev: String?

    var named: String? { device ?? dev }

    /// The device that there must be.
    func required() throws -> String {
        guard let named else { throw ValidationError("give a DEVICE: a block device or an image") }
        return named
    }

    func validate() throws {
        if device != nil, dev != nil {
            throw ValidationError("give the device once: as DEVICE or with --dev")
        }
    }
}

/// A session, as an argument or with `--session`.
struct SessionOptions: ParsableArguments {
    @Argument(help: "A session's name, its label, its directory's path, or an archive file.")
    var name: String?

    @Option(name: .customLong("session"), help: "The same as SESSION.")
    var session: String?

    var named: String? { name ?? session }

    func required() throws -> String {
        guard let named else {
            throw ValidationError("give a SESSION; `dmsnap sessions` lists them")
        }
        return named
    }

    func validate() throws {
        if name != nil, session != nil {
            throw ValidationError("give the session once: as SESSION or with --session")
        }
    }
}

/// The service's password, from a file or from the terminal.
struct PasswordOptions: ParsableArguments {
    @Option(
        help: """
            Read the service's password from this file (its owner's alone, mode 0600), from a pipe, \
            or with - from standard input.
            """)
    var passfile: String?

    func read(_ prompt: String = "dmsnap password: ") throws -> Secret {
        try Terminal.password(passfile: passfile, prompt: prompt)
    }
}

/// The user's terminal.
enum Terminal {
    /// A password from a file, or asked for without echo.
    ///
    /// - Parameter option: what to give where there is no terminal, for the message.
    static func password(
        passfile: String?, prompt: String, option: String = "--passfile FILE"
    ) throws -> Secret {
        ServicePassword.protectProcess()
        let input = FileDescriptor.standardInput
        // On a terminal `-` is no wish to see the password.
        if let passfile, passfile != "-" || isatty(input.rawValue) == 0 {
            return try ServicePassword.read(passfile: FilePath(passfile))
        }
        guard clinux_prompt_begin(input.rawValue) == 0 else {
            throw SessionsError.passfile(
                path: "(none)", reason: "standard input is no terminal; give \(option)")
        }
        defer { clinux_prompt_end() }
        let line: Secret?
        do {
            line = try readLine(from: input) {
                _ = try? FileDescriptor.standardError.writeAll(prompt.utf8)
            }
        } catch {
            throw SessionsError.passfile(path: "(terminal)", reason: "it can't be read: \(error)")
        }
        guard let line else {
            throw SessionsError.passfile(path: "(terminal)", reason: "no password was typed")
        }
        return line
    }

    /// A line's bytes, whatever they are, without the newline; nil at the end of the input.
    ///
    /// - Parameter prompt: called before the first read, and again after a stop.
    static func readLine(
        from input: FileDescriptor, prompt: () -> Void = {}
    ) throws -> Secret? {
        // Longer than any password is as good as endless.
        let line = Secret(capacity: ServicePassword.limit + 1)
        prompt()
        while line.count <= ServicePassword.limit {
            do {
                if try line.read(from: input, most: 1, retryOnInterrupt: false) == 0 {
                    return line.count == 0 ? nil : line
                }
            } catch Errno.interrupted {
                // Stopped and continued: what was typed before is gone with the flushed input.
                line.removeAll()
                prompt()
                continue
            }
            if line.last == UInt8(ascii: "\n") {
                line.removeLast()
                return line
            }
        }
        return line
    }

    /// Whether somebody sees a question, and can answer it.
    static var hasSomebody: Bool {
        isInteractive && isatty(FileDescriptor.standardInput.rawValue) == 1
    }

    /// Shows some lines and asks whether to go on; no answer is a no.
    static func agrees(_ text: String) -> Bool {
        Output.progress(Output.lines(text) + "\nGo on? [y/N] ")
        var answer: [UInt8] = []
        while answer.count < 16 {
            var byte: UInt8 = 0
            let count = unsafe withUnsafeMutableBytes(of: &byte) { buffer in
                // A signal is no answer either.
                (try? unsafe FileDescriptor.standardInput.read(
                    into: buffer, retryOnInterrupt: false)) ?? 0
            }
            guard count == 1 else {
                Output.progress("\n")
                return false
            }
            if byte == UInt8(ascii: "\n") { break }
            answer.append(byte)
        }
        return ["y", "yes"].contains(String(decoding: answer, as: UTF8.self).lowercased())
    }

    static var isInteractive: Bool { isatty(FileDescriptor.standardError.rawValue) == 1 }
}
