import ArgumentParser
import Block
import Foundation
import SystemPackage

extension Results {
    /// One line of JSON, for `bench report`.
    static func print(_ results: Results) throws {
        Swift.print(String(decoding: try JSONEncoder().encode(results), as: UTF8.self))
    }
}

/// Makes a table, a JSON document and a plot of what the others printed.
struct Report: AsyncParsableCommand {
    @Argument(help: "Files with what `guest` and `host` printed.")
    var files: [String]

    @Option(help: "Where to write bench.json and bench.svg.")
    var to: String

    func run() async throws {
        var all = Results()
        for file in files {
            let text = String(decoding: try Files.read(FilePath(file)), as: UTF8.self)
            for line in text.split(separator: "\n") where line.hasPrefix("{\"") {
                let part = try JSONDecoder().decode(Results.self, from: Data(line.utf8))
                all.measurements += part.measurements
                all.figures += part.figures
            }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(all).write(to: URL(fileURLWithPath: "\(to)/bench.json"))
        try Data(Plot.svg(all.measurements).utf8).write(
            to: URL(fileURLWithPath: "\(to)/bench.svg"))
        print("| what | chunks | against | dmsnap | other | ratio (least to most) | wanted |")
        print("|---|---|---|---|---|---|---|")
        for one in all.measurements { print(row(one)) }
        print("\n| what | value | limit |\n|---|---|---|")
        for one in all.figures {
            let limit = one.limit.map { "\(number($0)) \(one.unit)" } ?? ""
            print("| \(one.what) | \(number(one.value)) \(one.unit) | \(limit) |")
        }
    }

    private func row(_ one: Measurement) -> String {
        func middle(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        let spread = "\(number(one.ratios.first ?? 0)) to \(number(one.ratios.last ?? 0))"
        return "| \(one.what) | \(one.contents) | \(one.against) | \(number(middle(one.ours))) s "
            + "| \(number(middle(one.theirs))) s | \(number(one.median)) (\(spread)) "
            + "| \(one.wanted.map(number) ?? "") |"
    }

    private func number(_ value: Double) -> String {
        String(format: value < 100 ? "%.2f" : "%.0f", value)
    }
}

/// Ratios as bars: dmsnap's speed by the other's, with the spread and what is wanted.
enum Plot {
    private static let row = 22
    private static let labels = 470
    private static let width = 420

    static func svg(_ measurements: [Measurement]) -> String {
        let height = (measurements.count + 3) * row
        var lines = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(labels + width + 60)" \
            height="\(height)" font-family="sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="white"/>
            <text x="10" y="16" font-weight="bold">dmsnap's speed as a multiple of the other's; \
            line: spread; mark: wanted</text>
            """
        ]
        // From an eighth to 32 times, a power of two a step.
        func x(_ ratio: Double) -> Double {
            let place = (min(max(log2(max(ratio, 0.001)), -3), 5) + 3) / 8
            return Double(labels) + place * Double(width)
        }
        for power in -3...5 {
            let at = x(pow(2, Double(power)))
            let text = power < 0 ? "1/\(1 << -power)" : "\(1 << power)"
            lines.append(
                """
                <line x1="\(at)" x2="\(at)" y1="28" y2="\(height - row)" \
                stroke="\(power == 0 ? "black" : "#ddd")"/>
                <text x="\(at)" y="\(height - 6)" text-anchor="middle">\(text)</text>
                """)
        }
        for (index, one) in measurements.enumerated() {
            let y = 32 + index * row
            let start = min(x(1), x(one.median))
            let length = abs(x(one.median) - x(1))
            let isReached = one.wanted.map { one.median >= $0 }
            let color = isReached == nil ? "#8aa" : isReached == true ? "#4a4" : "#c84"
            let label = "\(one.what), \(one.contents) / \(one.against)"
                .replacingOccurrences(of: "&", with: "&amp;")
                .replacingOccurrences(of: ">", with: "&gt;")
            lines.append(
                """
                <text x="\(labels - 8)" y="\(y + 13)" text-anchor="end">\(label)</text>
                <rect x="\(start)" y="\(y + 3)" width="\(length)" height="\(row - 8)" \
                fill="\(color)"/>
                <line x1="\(x(one.ratios.first ?? 1))" x2="\(x(one.ratios.last ?? 1))" \
                y1="\(y + row / 2 - 1)" y2="\(y + row / 2 - 1)" stroke="black"/>
                """)
            if let wanted = one.wanted {
                lines.append(
                    """
                    <line x1="\(x(wanted))" x2="\(x(wanted))" y1="\(y)" y2="\(y + row - 2)" \
                    stroke="red" stroke-width="2"/>
                    """)
            }
        }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }
}
