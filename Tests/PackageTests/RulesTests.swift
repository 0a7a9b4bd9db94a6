import Testing

/// The rules, held against made-up packages that break them.
@Suite struct RulesTests {
    @Test("An import that goes up or sideways, or of a module to itself, is found")
    func upward() {
        let right: [String: Set<String>] = [
            "Block": ["CLinux", "CZlib", "Glibc", "SystemPackage"],
            "Monitor": ["Sessions", "Block", "CMount", "Logging"],
            "DmsnapC": ["Sessions", "Block"],
        ]
        #expect(Rules.upward(right) == [])
        #expect(Rules.upward(["Block": ["DeviceMapper"]]) == ["Block imports DeviceMapper"])
        #expect(Rules.upward(["Sessions": ["Monitor", "Block"]]) == ["Sessions imports Monitor"])
        #expect(Rules.upward(["Block": ["Block"]]) == ["Block imports Block"])
        #expect(Rules.upward(["dmsnap": ["DmsnapC"]]) == ["dmsnap imports DmsnapC"])
    }

    @Test("The C library's way to the command line and the monitor is closed")
    func forbidden() {
        #expect(
            Rules.upward(["DmsnapC": ["DmsnapCommands", "Monitor", "dmsnap", "Sessions"]])
                == [
                    "DmsnapC imports DmsnapCommands", "DmsnapC imports Monitor",
                    "DmsnapC imports dmsnap",
                ])
    }

    @Test("A module that the order doesn't have is found")
    func unordered() {
        #expect(
            Rules.upward(["Helpers": ["Block"]]) == ["Helpers has no place in the order of modules"]
        )
    }

    static let manifest = Manifest(
        """
        // swift-tools-version: 6.2
        let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
        let logging: Target.Dependency = .product(
            name: "Logging", package: "swift-log")
        let package = Package(
            products: [.executable(name: "tool", targets: ["Block"])],
            targets: [
                // .target(name: "Comment", dependencies: ["Monitor"]),
                .target(name: "CLinux"),
                .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
                .target(
                    name: "Block",
                    dependencies: ["CLinux", "CZlib", system],
                    swiftSettings: strict, linkerSettings: [.unsafeFlags(["-Xlinker", "x(y)"])]),
                .executableTarget(
                    name: "Sessions",
                    dependencies: [
                        "Block",
                        logging, other,
                    ]),
                .target(name: "Support", dependencies: [system], path: "Tests/Support"),
                .testTarget(name: "BlockTests", dependencies: ["Block"]),
            ])
        """)

    @Test("A manifest's targets are read with their modules, products by their constants")
    func reading() {
        let targets = Self.manifest.targets
        #expect(
            targets.map(\.name) == [
                "CLinux", "CZlib", "Block", "Sessions", "Support", "BlockTests",
            ])
        #expect(
            targets.map(\.dependencies) == [
                [], [], ["CLinux", "CZlib", "SystemPackage"],
                ["Block", "Logging", "unknown constant other"], ["SystemPackage"],
                ["Block"],
            ])
        #expect(targets.map(\.isTest) == [false, false, false, false, true, true])
    }

    @Test("An import that isn't declared, and a declaration that isn't imported, are found")
    func undeclared() {
        let right: [String: Set<String>] = [
            "Block": ["CLinux", "CZlib", "SystemPackage", "Glibc"],
            "BlockTests": ["Block", "Testing"],
        ]
        #expect(Rules.undeclared(right, Self.manifest) == [])
        #expect(
            Rules.undeclared(["Block": ["CLinux", "CZlib"]], Self.manifest)
                == ["Block declares SystemPackage and doesn't import it"])
        #expect(
            Rules.undeclared(["BlockTests": ["Block", "CLinux", "Logging"]], Self.manifest)
                == [
                    "BlockTests imports CLinux and doesn't declare it",
                    "BlockTests imports Logging and doesn't declare it",
                ])
        #expect(Rules.undeclared(["Other": []], Self.manifest) == ["Other has no target"])
    }

    @Test("A dependency that goes up is found in the manifest alone")
    func upwardManifest() {
        let wrong = Manifest(
            """
            targets: [
                .target(name: "Block", dependencies: ["Sessions"]),
                .testTarget(name: "BlockTests", dependencies: ["Sessions"]),
            ]
            """)
        #expect(Rules.upward(wrong) == ["Block imports Sessions"])
    }

    @Test("A file of 500 lines is found, one of 499 isn't")
    func tooLong() {
        let line = "x\n"
        let files = [
            "right": String(repeating: line, count: 499),
            "wrong": String(repeating: line, count: 500),
            "open": String(repeating: line, count: 499) + "x",
        ]
        #expect(Rules.tooLong(files) == ["open has 500 lines", "wrong has 500 lines"])
        #expect(Rules.tooLong(["empty": ""]) == [])
        let domain = "Sources/Sessions/Long.swift"
        #expect(Rules.tooLong([domain: String(repeating: line, count: 250)]) == [])
        #expect(
            Rules.tooLong([domain: String(repeating: line, count: 251)])
                == ["\(domain) has 251 lines"])
    }

    @Test("A name or path that the domain keeps as a bare string is found")
    func bareNames() {
        let text = """
            let path: ByteText
            var devicePath: String
            let names: [String]
            let label: String
            func find(_ device: String) {}
            """
        #expect(
            Rules.bareNames(["Sources/Sessions/A.swift": text, "Sources/Block/A.swift": text])
                == [
                    "Sources/Sessions/A.swift: devicePath is a String",
                    "Sources/Sessions/A.swift: names is a String",
                ])
        #expect(Rules.bareNames([Rules.typed[0]: text]) == [])
    }

    @Test("A name or path in a literal is found in every file but its own")
    func literals() {
        let text = """
            /// The device is dmsnap-x, or "dmsnap-y".
            let a = "b" // "dmsnap-z"
            /* "dmsnap-1" /* "dmsnap-2" */ "dmsnap-3" */
            let c = "/dev/mapper/dmsnap-\\(name)"
            """
        let files = ["a.swift": text, "Names.swift": text, "a.h": text]
        #expect(
            Rules.literals(["dmsnap-"], in: files, except: "Names.swift")
                == [#"a.swift has "/dev/mapper/dmsnap-""#])
        #expect(
            Rules.literals(
                ["/snapshot"], in: ["a.swift": #"a("/snapshot") + "snapshot""#], except: "b")
                == [#"a.swift has "/snapshot""#])
    }

    @Test("A word that means something else is no name, and hides none beside it")
    func otherWords() {
        let files = ["a": "", "a.swift": #"f("run tool-monitor", "tool-x and tool-monitor")"#]
        #expect(
            Rules.literals(["tool-"], in: files, except: "b", besides: ["tool-monitor"])
                == [#"a.swift has "tool-x and tool-monitor""#])
    }
}

@Suite struct SwiftSourceTests {
    @Test(
        "An import is found whatever stands in front of it",
        arguments: [
            "import Block", "public import Block", "  internal import Block  // why",
            "@testable import Block", "@_exported public import Block",
            "@preconcurrency import Block",
            "import struct Block.Mount", "import Block.Inner", "import Glibc; import Block",
            "\t@testable internal import enum Block.Files",
        ])
    func imports(text: String) {
        #expect(SwiftSource(text).imports.contains("Block"))
    }

    @Test(
        "What only looks like an import is none",
        arguments: [
            "// import Block", "/* import Block */", "/*\nimport Block\n*/",
            #"let a = "import Block""#,
            "let a = \"\"\"\n    import Block\n    \"\"\"", "let important = Block",
            "reimport Block",
            "/// import Block",
        ])
    func noImports(text: String) {
        #expect(SwiftSource(text).imports == [])
    }

    @Test(
        "A literal is read in each of its forms, and the code goes on behind it",
        arguments: [
            (#""a""#, ["a"]), (#""""#, [""]), (#""a\"b""#, ["a\"b"]), (#""a\\""#, ["a\\"]),
            (##"#"a"b"#"##, ["a\"b"]), ("\"\"\"\na \"b\" // c\n\"\"\"", ["\na \"b\" // c\n"]),
            (#""a // b""#, ["a // b"]), (#""a /* b""#, ["a /* b"]),
            (#""a\(b("c") + "d")e""#, ["c", "d", "ae"]), (##"#"a\(b)"#"##, [#"a\(b)"#]),
            (##"#"a\#(b)c"#"##, ["ac"]), (#"f("a", "b")"#, ["a", "b"]),
        ])
    func literals(text: String, literals: [String]) {
        let source = SwiftSource(text + "\nimport Block")
        #expect(source.literals == literals)
        #expect(source.imports == ["Block"])
    }
}
