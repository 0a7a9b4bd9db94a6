import Foundation
import Testing

@testable import Block

/// Fingerprints that looked at different places, as different versions of the program do.
@Suite struct FingerprintComparingTests {
    typealias Place = Fingerprint.Place

    /// As version 0.1 wrote it.
    static let old = """
        {"size": 1073741824, "contents": {"type": "ext4", "uuid": "0f1e"},
         "checksums": [1, 2, 4294967295]}
        """

    private func decode(_ text: String) throws -> Fingerprint {
        try JSONDecoder().decode(Fingerprint.self, from: Data(text.utf8))
    }

    private var contents: Contents {
        var contents = Contents()
        contents.type = "ext4"
        contents.uuid = "0f1e"
        return contents
    }

    private var new: Fingerprint {
        let size = ByteCount(1 << 30)
        let places = Fingerprint.places(of: size).enumerated().map { index, range in
            Place(
                offset: range.lowerBound, length: range.upperBound - range.lowerBound,
                checksum: index == 2 ? .max : UInt32(index + 1))
        }
        let samples = Fingerprint.samples(of: size).map {
            Place(offset: $0.lowerBound, length: 4096, checksum: 7)
        }
        return Fingerprint(size: size, contents: contents, places: places, samples: samples)
    }

    @Test("The old form is read as its three regions, and written as the new form")
    func oldForm() throws {
        let read = try decode(Self.old)
        let places = [
            Place(offset: 0, length: 1_048_576, checksum: 1),
            Place(offset: 67_108_864, length: 65_536, checksum: 2),
            Place(offset: 1_073_676_288, length: 65_536, checksum: .max),
        ]
        let size = ByteCount(1_073_741_824)
        #expect(read == Fingerprint(size: size, contents: contents, places: places))
        let json = String(decoding: try JSONEncoder().encode(read), as: UTF8.self)
        #expect(!json.contains("checksums"))
        #expect(!json.contains("samples"))
        #expect(try decode(json) == read)
    }

    @Test("The old form of a small device has no place that isn't there, and none twice")
    func oldSmall() throws {
        let read = try decode(#"{"size": 4096, "contents": {}, "checksums": [5, 0, 5]}"#)
        #expect(read.places == [Place(offset: 0, length: 4096, checksum: 5)])
        let empty = try decode(#"{"size": 0, "contents": {}, "checksums": [0, 0, 0]}"#)
        #expect(empty.places.isEmpty)
        #expect(empty.agrees(with: empty))
    }

    @Test(
        "What is neither form is refused",
        arguments: [
            "{}", #"{"size": 4096, "contents": {}}"#,
            #"{"size": 4096, "contents": {}, "checksums": [1, 2]}"#,
            #"{"size": 4096, "contents": {}, "checksums": [1, 2, 3, 4]}"#,
            #"{"size": 4096, "contents": {}, "checksums": [1, 2, -3]}"#,
            #"{"size": 4096, "contents": {}, "places": [0, 5]}"#,
            #"{"size": -1, "contents": {}, "places": []}"#,
        ])
    func hostile(text: String) {
        #expect(throws: DecodingError.self) { try decode(text) }
    }

    @Test("A place from the disk whose end no device has is compared like any other")
    func hugePlace() throws {
        let text = """
            {"size": 4096, "contents": {},
             "places": [18446744073709551615, 9, 1]}
            """
        let read = try decode(text)
        #expect(read.places.map(\.range) == [UInt64.max..<UInt64.max])
        #expect(!read.agrees(with: read))
    }

    @Test("An old and a new fingerprint of one device agree, though they are not equal")
    func oldAndNew() throws {
        let old = try decode(Self.old)
        #expect(old != new)
        #expect(old.agrees(with: new) && new.agrees(with: old))
        #expect(old.differences(from: new).isEmpty)
    }

    @Test("A difference in any of the places that both have is one", arguments: [0, 1, 2])
    func oldAndChanged(index: Int) throws {
        let old = try decode(Self.old)
        var changed = new
        changed.places[index].checksum ^= 1
        #expect(!old.agrees(with: changed) && !changed.agrees(with: old))
        #expect(old.differences(from: changed) == [changed.places[index].range])
    }

    @Test("Another size, other contents, or no common beginning is no agreement")
    func disagreeing() throws {
        var (longer, other, headless) = (new, new, new)
        longer.size.bytes += 512
        other.contents.uuid = "another"
        headless.places.removeAll { $0.offset == 0 }
        for fingerprint in [longer, other, headless] {
            #expect(!fingerprint.agrees(with: new) && !new.agrees(with: fingerprint))
            #expect(fingerprint.differences(from: new).isEmpty)
        }
        #expect(new.agrees(with: new))
    }

    @Test("Differences are sorted, of places and samples, and only those that are let through")
    func differences() {
        var changed = new
        changed.places[0].checksum ^= 1
        changed.places[2].checksum ^= 1
        changed.samples[5].checksum ^= 1
        let (first, last) = (changed.places[0].range, changed.places[2].range)
        let sample = changed.samples[5].range
        #expect(changed.differences(from: new) == [first, sample, last])
        #expect(new.differences(from: changed) == [first, sample, last])
        #expect(new.differences(from: changed) { $0 != first } == [sample, last])
        #expect(new.differences(from: changed) { _ in false }.isEmpty)
        changed.samples = []
        #expect(new.differences(from: changed) == [first, last])
    }

    @Test("A fingerprint survives JSON")
    func codable() throws {
        let json = try JSONEncoder().encode(new)
        #expect(try JSONDecoder().decode(Fingerprint.self, from: json) == new)
    }
}
