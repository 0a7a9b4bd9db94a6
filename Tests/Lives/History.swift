import StoreTesting

/// A device, and what happens to it.
package struct History: Hashable, Sendable {
    /// Whether it is an image file, or a disk.
    package var isImage: Bool
    /// In bytes.
    package var size: Int
    /// In bytes: of the stores.
    package var chunk: Int
    /// What the device holds before the first step.
    package var seed: UInt64
    /// In their order.
    package var steps: [Step]

    /// What a machine makes of a random history.
    package struct Sizes: Sendable {
        /// Of the device, in bytes.
        package let device: ClosedRange<Int>
        /// Of chunks, in bytes.
        package let chunks: [Int]

        /// Sizes to choose from.
        package init(device: ClosedRange<Int>, chunks: [Int]) {
            self.device = device
            self.chunks = chunks
        }
    }

    /// A history of these.
    package init(isImage: Bool, size: Int, chunk: Int, seed: UInt64, steps: [Step]) {
        self.isImage = isImage
        self.size = size
        self.chunk = chunk
        self.seed = seed
        self.steps = steps
    }

    /// A random one: what people do, in an order that they don't.
    package init(seed: UInt64, sizes: Sizes) {
        var random = SeededGenerator(seed: seed)
        isImage = Bool.random(using: &random)
        let sectors = sizes.device.lowerBound / 512...sizes.device.upperBound / 512
        size = Int.random(in: sectors, using: &random) * 512
        // An image's last bytes, which make no sector, are nobody's.
        if isImage, Bool.random(using: &random) { size += Int.random(in: 1...511, using: &random) }
        chunk = sizes.chunks.randomElement(using: &random) ?? sizes.chunks[0]
        self.seed = seed
        steps = [Step(.activate)]
        for _ in 0..<Int.random(in: 2...7, using: &random) {
            steps += Phrase.random(&random)
        }
    }
}

extension History: CustomStringConvertible {
    /// One line, which can be kept: `disk 24576 1024 7: activate, mount, write 3, unmount`.
    package var description: String {
        "\(isImage ? "image" : "disk") \(size) \(chunk) \(seed): "
            + steps.map(\.description).joined(separator: ", ")
    }

    /// - Parameter text: as `description` gives it.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        let head = parts[0].split(separator: " ")
        guard head.count == 4, ["image", "disk"].contains(head[0]), let size = Int(head[1]),
            let chunk = Int(head[2]), let seed = UInt64(head[3])
        else { return nil }
        let words = parts[1].split(separator: ",")
        let steps = words.compactMap { Step($0) }
        guard steps.count == words.count else { return nil }
        self.init(isImage: head[0] == "image", size: size, chunk: chunk, seed: seed, steps: steps)
    }
}

/// A few steps that belong together, more often than not to their end.
enum Phrase {
    static func random(_ random: inout SeededGenerator) -> [Step] {
        func chance(_ part: Int, of whole: Int) -> Bool {
            Int.random(in: 0..<whole, using: &random) < part
        }
        func number(_ limit: Int = 1000) -> Int { Int.random(in: 0..<limit, using: &random) }
        func few(_ act: Step.Act, upTo most: Int) -> [Step] {
            (0..<number(most + 1)).map { _ in Step(act, number()) }
        }
        func deathMaybe() -> [Step] { chance(1, of: 8) ? [Step(.die, 1 + number(60))] : [] }
        func archiveMaybe() -> [Step] { chance(1, of: 8) ? [Step(.archive, number())] : [] }
        func departure() -> [Step] {
            let death = chance(1, of: 3) ? [Step(.die, 1 + number(80))] : []
            return death + [Step(chance(2, of: 3) ? .delete : .prune, number())]
        }
        func session() -> [Step] {
            var steps = [Step(.mount)] + few(.write, upTo: 3)
            if chance(1, of: 4) { steps.append(Step(.fsync)) }
            if chance(1, of: 6) { steps += [Step(.remount)] + few(.write, upTo: 1) }
            if chance(1, of: 5) { steps += [Step(.checkpoint)] + few(.write, upTo: 2) }
            if chance(1, of: 25) { steps += [Step(.fill, number())] + few(.write, upTo: 1) }
            if chance(1, of: 12) { steps += [Step(.checkpoint)] + few(.write, upTo: 1) }
            if chance(9, of: 10) { steps.append(Step(.unmount)) }
            if chance(8, of: 10) { steps += deathMaybe() + [Step(.monitor)] }
            return steps + archiveMaybe()
        }
        func boot() -> [Step] {
            var steps = [Step(chance(1, of: 2) ? .cut : .crash, number())]
            if chance(1, of: 8) { steps.append(Step(.rescue, number())) }
            if chance(1, of: 8) { steps.append(Step(.rename)) }
            if chance(1, of: 10) { steps.append(Step(.deactivate)) }
            if chance(1, of: 10) { steps.append(Step(.restore, number())) }
            if chance(1, of: 10) { steps += departure() }
            steps += archiveMaybe() + deathMaybe()
            steps.append(Step(.assemble))
            return steps
        }
        switch number(27) {
        case 0...5: return session()
        case 6: return few(.write, upTo: 1) + [Step(.check, number())]
        case 7, 8: return deathMaybe() + [Step(.restore, number())]
        case 9: return [Step(.undo)]
        case 10, 11:
            var steps = deathMaybe() + [Step(.online, number())]
            if chance(1, of: 2) { steps.append(Step(.merge, number(8))) }
            if chance(1, of: 2) { steps += session() }
            if chance(1, of: 3) { steps += boot() }
            if chance(1, of: 6) { steps += departure() }
            steps += archiveMaybe()
            if chance(3, of: 4) { steps += [Step(.merge, 1000), Step(.monitor)] }
            return steps
        case 12: return [Step(.accept, number())]
        case 13, 14: return boot()
        case 15, 16:
            var steps = deathMaybe() + [Step(.deactivate)]
            if chance(1, of: 5) { steps.append(Step(.rescue, number())) }
            if chance(1, of: 6) { steps.append(Step(.rename)) }
            if chance(1, of: 3) { steps += deathMaybe() + [Step(.restore, number())] }
            if chance(1, of: 8) { steps.append(Step(.accept, number())) }
            if chance(1, of: 4) { steps += departure() }
            return steps + deathMaybe() + [Step(.activate)]
        case 17: return deathMaybe() + [Step(.archive)]
        case 18, 19: return departure()
        case 20, 21: return session() + session() + departure() + session()
        case 22, 23:
            let steps = session() + [Step(.pin, number())] + session() + departure()
            return chance(1, of: 2) ? steps + [Step(.unpin, number())] : steps
        case 24:
            return few(.write, upTo: 2)
                + [Step(chance(1, of: 4) ? .checkpoint : .monitor)]
        case 25: return session() + deathMaybe() + [Step(.reset)]
        default:
            return [Step(chance(1, of: 2) ? .gap : .damage, number())]
        }
    }
}
