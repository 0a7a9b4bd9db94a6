import CFuzzer
import Glibc

var count = CommandLine.argc
var arguments = unsafe Optional(CommandLine.unsafeArgv)
exit(
    unsafe LLVMFuzzerRunDriver(&count, &arguments) { data, size in
        check(unsafe [UInt8](UnsafeBufferPointer(start: data, count: size)))
        return 0
    })
