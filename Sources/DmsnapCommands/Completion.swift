import ArgumentParser
import SystemPackage

/// The completion script for bash.
enum Completion {
    /// Whether these words ask for it.
    static func isAskedFor(_ words: [String]) -> Bool {
        words == [option, "bash"] || words == ["\(option)=bash"]
    }

    /// ArgumentParser's own option, whose value is no verb.
    static let option = "--generate-completion-script"

    /// ArgumentParser's script. It knows no option before the verb, and takes the value of one there for
    /// the verb: here it learns them.
    static func bash() -> String {
        let root = """
                local -a non_repeating_options=()
                __dmsnap_offer_flags_options 0
            """
        let options = VerbFirst.valued.sorted().joined(separator: " ")
        return Dmsnap.completionScript(for: .bash).replacing(
            root, with: root.replacing("=()", with: "=(\(options))"), maxReplacements: 1)
    }

    static func print() throws {
        do {
            try FileDescriptor.standardOutput.writeAll(bash().utf8)
        } catch {
            throw OutputFailure(errno: error as? Errno ?? .ioError)
        }
    }
}
