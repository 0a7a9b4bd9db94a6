import FoundationEssentials
import HostileInput

let checks = HostileInput.checks
guard let check = ProcessInfo.processInfo.environment["DMSNAP_FUZZ"].flatMap({ checks[$0] }) else {
    fatalError("DMSNAP_FUZZ is none of \(checks.keys.sorted())")
}
Fuzzer.run(check)
