import CFuzzer
import Glibc

/// libFuzzer, with a check in Swift.
enum Fuzzer {
    // Set once, before the first input; libFuzzer's callback is C's and has no context.
    nonisolated(unsafe) private static var check: ([UInt8]) -> Void = { _ in }

    /// Gives the check one input after another, as the program's arguments say; then it ends.
    static func run(_ check: @escaping ([UInt8]) -> Void) -> Never {
        unsafe Self.check = check
        var count = CommandLine.argc
        var arguments = unsafe Optional(CommandLine.unsafeArgv)
        exit(
            unsafe LLVMFuzzerRunDriver(&count, &arguments) { data, size in
                unsafe Fuzzer.check([UInt8](UnsafeBufferPointer(start: data, count: size)))
                return 0
            })
    }
}
