import DeviceMapper
import Sessions
import SystemPackage

/// Whatever the bytes are: no trap; and what is taken for a registry is written and read back the
/// same, and leads to no file or device but those that are to be there.
enum RegistryReading {
    static func check(_ bytes: [UInt8]) {
        let path = FilePath("registry.json")
        guard let document = try? Registry.parse(bytes, of: path).document else { return }
        for activation in document.activations {
            precondition(activation.fault == nil)
            let name = try? MapperNames.origin(activation)
            precondition(name?.text.contains("/") != true)
            precondition(!activation.id.contains("/"))
        }
        guard let written = try? JSON.encode(document),
            let again = try? Registry.parse(written, of: path)
        else { preconditionFailure("it can't be read again") }
        precondition(again.isCurrent)
        precondition(again.document == document)
    }
}
