import DmsnapCommands

@main
enum Main {
    static func main() {
        Dmsnap.run()
    }
}
