import Block
import DmsnapCommands

@main
enum Main {
    static func main() {
        StandardDescriptors.ensureOpen()
        Dmsnap.run()
    }
}
