import ArgumentParser
import Sessions

struct Passwd: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Set or change the service's password.",
        discussion: "The first time no old password is needed.")

    @Option(help: "Read the new password from this file.")
    var passfile: String?

    @Option(help: "Read the present password from this file.")
    var oldPassfile: String?

    func run() throws {
        let service = try SnapshotService.forRoot(to: "set the service's password")
        let old =
            try service.password.isSet
            ? Terminal.password(passfile: oldPassfile, prompt: "present dmsnap password: ") : nil
        // A wrong one is said before a new one is asked for.
        if let old { try service.password.verify(old) }
        let new = try Terminal.password(passfile: passfile, prompt: "new dmsnap password: ")
        if passfile == nil {
            let again = try Terminal.password(passfile: nil, prompt: "the new one again: ")
            guard again == new else {
                throw SessionsError.passfile(
                    path: "(terminal)", reason: "the two are not the same; nothing was changed")
            }
        }
        try service.password.set(new, old: old)
        try Output.print("The password is set.")
    }
}
