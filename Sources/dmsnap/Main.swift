import Block
import DmsnapCommands
import Glibc

@main
enum Main {
    static func main() {
        StandardDescriptors.ensureOpen()
        // A file that gets too large for the caller's limit is an error like another, and is undone.
        signal(SIGXFSZ, SIG_IGN)
        Dmsnap.run()
    }
}
