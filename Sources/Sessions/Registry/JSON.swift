import Block
internal import FoundationEssentials
package import SystemPackage

/// JSON documents on disk and on standard output: keys sorted, dates in ISO 8601 UTC.
package enum JSON {
    package static func encode(_ value: some Encodable) throws(SessionsError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        do {
            return try Array(encoder.encode(value)) + [UInt8(ascii: "\n")]
        } catch {
            throw .internalFault("a record can't be written as JSON: \(error)")
        }
    }

    /// - Throws: `damagedRecord`, naming the file and the key.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, from path: FilePath
    ) throws(SessionsError) -> Value {
        let bytes: [UInt8]
        do {
            bytes = try Files.read(path)
        } catch {
            throw .system(error)
        }
        return try decode(type, bytes: bytes, of: path)
    }

    /// - Parameter path: where the bytes are from.
    /// - Throws: `damagedRecord`, naming the file and the key.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, bytes: [UInt8], of path: FilePath
    ) throws(SessionsError) -> Value {
        do {
            return try decode(type, bytes: bytes)
        } catch {
            throw .damagedRecord(path: path.string, reason: reason(error))
        }
    }

    /// - Throws: what the decoder throws.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, bytes: [UInt8]
    ) throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            guard let date = try? Date(container.decode(String.self), strategy: .iso8601) else {
                throw DecodingError.dataCorruptedError(
                    in: container, debugDescription: "it is no date in ISO 8601")
            }
            // They are written in whole seconds, and what is read is to be what is written again.
            return Date(
                timeIntervalSinceReferenceDate: date.timeIntervalSinceReferenceDate.rounded(.down))
        }
        return try decoder.decode(type, from: Data(bytes))
    }

    private static func reason(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        switch error {
        case .keyNotFound(let key, _): return "it has no \(key.stringValue)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context),
            .dataCorrupted(let context):
            let keys = context.codingPath.map(\.stringValue).joined(separator: ".")
            return keys.isEmpty ? "it is no JSON of ours" : "\(keys) is not what it should be"
        @unknown default: return "\(error)"
        }
    }
}
