import ArgumentParser
import Block
import Sessions

struct Passwd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "passwd",
        abstract: "Set or change the service's password.",
        discussion: "The first time no old password is needed.")

    @Option(help: "Read the new password from this file, a pipe, or - for standard input.")
    var passfile: String?

    @Option(help: "Read the present password from this file, a pipe, or -.")
    var oldPassfile: String?

    func validate() throws {
        if passfile == "-", oldPassfile == "-" {
            throw ValidationError("both passwords can't be read from standard input")
        }
    }

    func run() throws {
        let password = try ServicePassword.forRoot(to: "set the service's password")
        let old =
            try password.isSet
            ? Terminal.password(passfile: oldPassfile, prompt: "present dmsnap password: ") : nil
        // A wrong one is said before a new one is asked for.
        if let old { try password.verify(old) }
        let new = try Terminal.password(passfile: passfile, prompt: "new dmsnap password: ")
        if passfile == nil {
            let again = try Terminal.password(passfile: nil, prompt: "the new one again: ")
            guard again.isSame(as: new) else {
                throw SessionsError.passfile(
                    path: "(terminal)", reason: "the two are not the same; nothing was changed")
            }
        }
        try password.set(new, old: old)
        try Output.print("The password is set.")
    }
}
