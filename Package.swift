// swift-tools-version: 6.2
// One target a module of docs/architecture.md. A module may depend only on modules that stand
// above it here; `Tests/PackageTests` holds this file and every import against that order.
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// Tests are built for release, as what they test, but not optimized themselves: that would double a build's time.
let unoptimized = strict + [.unsafeFlags(["-Xfrontend", "-Onone"])]

/// What is installed needs nothing of Swift's. The modules are compiled as for the shared runtime, which doesn't name
/// what FoundationEssentials itself consists of.
let staticRuntime = LinkerSetting.unsafeFlags(
    ["-static-stdlib", "-l_FoundationCShims", "-l_FoundationCollections"],
    .when(configuration: .release))

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let arguments: Target.Dependency = .product(
    name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")

let package = Package(
    name: "dmsnap",
    products: [
        .executable(name: "dmsnap", targets: ["dmsnap"]),
        .library(name: "Dmsnap", targets: ["Sessions"]),
        .library(name: "dmsnap-c", type: .dynamic, targets: ["DmsnapC"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        // C libraries: module maps and shims, nothing else.
        .target(name: "CLinux"),
        .target(name: "CDmsnap"),
        .target(name: "CDeviceMapper", linkerSettings: [.linkedLibrary("devmapper")]),
        .target(name: "CUring", linkerSettings: [.linkedLibrary("uring")]),
        // Optimized in every build: without that a hash takes longer than what it is for.
        .target(name: "CXxhash", cSettings: [.unsafeFlags(["-O2"])]),
        .systemLibrary(name: "CBlkid", pkgConfig: "blkid", providers: [.apt(["libblkid-dev"])]),
        .systemLibrary(name: "CMount", pkgConfig: "mount", providers: [.apt(["libmount-dev"])]),
        .systemLibrary(name: "CStatfs"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CDeflate", pkgConfig: "libdeflate", providers: [.apt(["libdeflate-dev"])]),
        .systemLibrary(name: "CIsal", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CCrypt", pkgConfig: "libxcrypt", providers: [.apt(["libcrypt-dev"])]),

        .target(
            name: "Block",
            dependencies: ["CLinux", "CBlkid", "CMount", "CStatfs", "CZlib", system],
            swiftSettings: strict),
        .target(
            name: "DeviceMapper",
            dependencies: ["CLinux", "CDeviceMapper", "Block", system],
            swiftSettings: strict),
        .target(
            name: "ExceptionStore", dependencies: ["CStatfs", "Block", system],
            swiftSettings: strict),
        .target(
            name: "SessionArchive",
            dependencies: [
                "CZlib", "CDeflate", "CIsal", "CXxhash", "Block", "ExceptionStore", system,
            ],
            swiftSettings: strict),
        .target(
            name: "Restore",
            dependencies: ["CUring", "CXxhash", "Block", "ExceptionStore", system, heap],
            swiftSettings: strict),
        .target(
            name: "Sessions",
            dependencies: [
                "CLinux", "CCrypt", "Block", "DeviceMapper", "ExceptionStore", "SessionArchive",
                "Restore", system,
            ],
            swiftSettings: strict),
        .target(
            name: "Monitor",
            dependencies: [
                "CLinux", "CMount", "Block", "SessionArchive", "Restore", "Sessions", system,
                logging,
            ],
            swiftSettings: strict),
        .target(
            name: "DmsnapCommands",
            dependencies: [
                "CLinux", "Block", "DeviceMapper", "ExceptionStore", "SessionArchive", "Restore",
                "Sessions", "Monitor",
                system, arguments, logging,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "dmsnap", dependencies: ["Block", "DmsnapCommands"], swiftSettings: strict,
            // It starts a fifth faster where nothing of it has to be relocated, without libstdc++.so (a link in
            // .build/static leads to the static one), and where no library looks for its symbols in it.
            linkerSettings: [
                staticRuntime,
                .unsafeFlags(
                    [
                        "-L\(Context.packageDirectory)/.build/static",
                        "-Xlinker", "-no-pie", "-Xlinker", "--no-export-dynamic",
                    ], .when(configuration: .release)),
            ]),
        .target(
            name: "DmsnapC",
            dependencies: ["CDmsnap", "Block", "Sessions"],
            exclude: ["libdmsnap.map"],
            swiftSettings: strict,
            linkerSettings: [
                staticRuntime,
                .unsafeFlags([
                    "-Xlinker",
                    "--version-script=\(Context.packageDirectory)/Sources/DmsnapC/libdmsnap.map",
                    "-Xlinker", "-soname=libdmsnap.so.0",
                ]),
            ]),

        .testTarget(
            name: "BlockTests", dependencies: ["CLinux", "Block", system, subprocess],
            swiftSettings: unoptimized),
        .testTarget(
            name: "DeviceMapperTests", dependencies: ["DeviceMapper", "Block", system],
            swiftSettings: unoptimized),
        // Says what has become of descriptors that its caller closed.
        .executableTarget(
            name: "Descriptors", dependencies: ["Block", system], path: "Tests/Descriptors",
            swiftSettings: unoptimized),
        // Suspends a device, and dies if it is told to.
        .executableTarget(
            name: "Suspender", dependencies: ["Block", "DeviceMapper", system],
            path: "Tests/Suspender",
            swiftSettings: unoptimized),
        .testTarget(name: "PackageTests", swiftSettings: unoptimized),
        .target(
            name: "StoreTesting", dependencies: [system], path: "Tests/StoreTesting",
            swiftSettings: strict),
        // The log of the kernel's log-writes target, and what of it is there after a power cut.
        .target(
            name: "WriteLog", dependencies: ["Block", "StoreTesting"], path: "Tests/WriteLog",
            swiftSettings: strict),
        .testTarget(
            name: "WriteLogTests", dependencies: ["Block", "StoreTesting", "WriteLog"],
            swiftSettings: unoptimized),
        // Random lives of a device, and what must be true of them.
        .target(
            name: "Lives", dependencies: ["StoreTesting"], path: "Tests/Lives",
            swiftSettings: strict),
        // A simulated kernel for the domain's tests, and steps that fail or are the last.
        .target(name: "CInterposer", path: "Tests/CInterposer"),
        .target(
            name: "KernelSimulation",
            dependencies: [
                "CInterposer", "Block", "DeviceMapper", "ExceptionStore", "Sessions",
                "StoreTesting", system,
            ],
            path: "Tests/KernelSimulation", swiftSettings: strict),
        .testTarget(
            name: "SessionsTests",
            dependencies: [
                "Block", "DeviceMapper", "ExceptionStore", "SessionArchive", "Restore", "Sessions",
                "StoreTesting", "Lives", "KernelSimulation", system,
            ],
            swiftSettings: unoptimized),
        .testTarget(
            name: "MonitorTests",
            dependencies: [
                "Block", "ExceptionStore", "Sessions", "Monitor", "StoreTesting",
                "KernelSimulation", system,
                logging,
            ],
            swiftSettings: unoptimized),
        .testTarget(
            name: "DmsnapCommandsTests",
            dependencies: [
                "Block", "Sessions", "DmsnapCommands", "ExceptionStore", "Restore", "StoreTesting",
                system, arguments,
            ],
            swiftSettings: unoptimized),
        .testTarget(
            name: "ExceptionStoreTests",
            dependencies: ["Block", "ExceptionStore", "StoreTesting", system],
            swiftSettings: unoptimized),
        .testTarget(
            name: "SessionArchiveTests",
            dependencies: [
                "CZlib", "Block", "ExceptionStore", "SessionArchive", "Restore", "StoreTesting",
                system,
            ],
            exclude: ["decode_archive.py"],
            swiftSettings: unoptimized),
        .testTarget(
            name: "RestoreTests",
            dependencies: ["Block", "ExceptionStore", "Restore", "StoreTesting", system],
            swiftSettings: unoptimized),
        // Readers' checks, for tests and for the fuzzer.
        .target(
            name: "HostileInput",
            dependencies: [
                "CZlib", "Block", "DeviceMapper", "ExceptionStore", "SessionArchive", "Sessions",
                system,
            ],
            path: "Tests/HostileInput", swiftSettings: strict),
        .testTarget(
            name: "HostileInputTests", dependencies: ["HostileInput", "StoreTesting"],
            swiftSettings: unoptimized),
        // The machine in the machine: User-Mode Linux, for tests and the demonstration.
        .target(
            name: "VirtualMachine", dependencies: [system], path: "Tests/VirtualMachine",
            exclude: ["Guest", "README.md"], swiftSettings: unoptimized),
        .executableTarget(
            name: "vm", dependencies: ["VirtualMachine", system, arguments], path: "Tests/vm",
            swiftSettings: unoptimized),
        // What `make bench` runs.
        .executableTarget(
            name: "bench",
            dependencies: [
                "CZlib", "Block", "ExceptionStore", "SessionArchive", "Restore", system, subprocess,
                arguments,
            ],
            path: "Benchmarks/bench", swiftSettings: strict),
        .testTarget(
            name: "VirtualMachineTests", dependencies: ["VirtualMachine", system],
            swiftSettings: unoptimized),
        .testTarget(
            name: "RebootTests", dependencies: ["VirtualMachine", system],
            swiftSettings: unoptimized),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "CXxhash", "Block", "ExceptionStore", "StoreTesting", "WriteLog", "Lives", system,
                subprocess,
            ],
            exclude: ["client.c", "cycle.c", "terminal.py"],
            swiftSettings: unoptimized),
    ]
)

// `DMSNAP_FUZZ=1 swift build --scratch-path .build-fuzz -c release --sanitize=address
// -Xswiftc -sanitize=fuzzer --product Fuzz`: only with libFuzzer's runtime does it link.
if Context.environment["DMSNAP_FUZZ"] != nil {
    package.targets += [
        .systemLibrary(name: "CFuzzer", path: "Tests/CFuzzer"),
        .executableTarget(
            name: "Fuzz", dependencies: ["CFuzzer", "HostileInput"], path: "Tests/Fuzz",
            swiftSettings: strict,
            // gold, the default, stumbles over the runtime's own main.
            linkerSettings: [.unsafeFlags(["-use-ld=lld"])]),
    ]
}
