import Testing

/// The package as it is, held against its rules.
@Suite struct PackageTests {
    @Test("A module imports only modules that stand above it in the list of modules")
    func importsGoDown() throws {
        let imports = try Checkout.imports(under: "Sources")
        #expect(imports.count > 5)
        let wrong = Rules.upward(imports)
        #expect(wrong == [])
    }

    @Test("A target depends only on modules that stand above it in the list of modules")
    func dependenciesGoDown() throws {
        let manifest = try Checkout.manifest()
        #expect(manifest.targets.count > 10)
        let wrong = Rules.upward(manifest)
        #expect(wrong == [])
    }

    @Test("What a module imports its target declares, and what is declared is imported")
    func declarations() throws {
        let imports = try Checkout.imports(under: "Sources")
        let wrong = Rules.undeclared(imports, try Checkout.manifest())
        #expect(wrong == [])
    }

    @Test("What tests import their target declares, and what is declared is imported")
    func testDeclarations() throws {
        let imports = try Checkout.imports(under: "Tests")
        let wrong = Rules.undeclared(imports, try Checkout.manifest())
        #expect(wrong == [])
    }

    @Test("The domain keeps no name and no path as a bare string")
    func bareNames() throws {
        let wrong = Rules.bareNames(try Checkout.files(under: "Sources"))
        #expect(wrong == [])
    }

    @Test("No file of Sources has 500 lines, none of the domain 251")
    func lengths() throws {
        let files = try Checkout.files(under: "Sources")
        #expect(files.count > 20)
        let wrong = Rules.tooLong(files)
        #expect(wrong == [])
    }

    @Test("Device-mapper names are built in one file only")
    func names() throws {
        let files = try Checkout.files(under: "Sources")
        let (file, texts) = Rules.names
        let wrong = Rules.literals(
            texts, in: files, except: file, besides: Checkout.units())
        #expect(wrong == [])
    }

    @Test("The project's own paths are built in one file only")
    func paths() throws {
        let files = try Checkout.files(under: "Sources")
        let (file, texts) = Rules.paths
        let wrong = Rules.literals(texts, in: files, except: file)
        #expect(wrong == [])
    }
}
