import CFuzzer
import Glibc

var count = CommandLine.argc
var arguments = unsafe Optional(CommandLine.unsafeArgv)
exit(
    unsafe LLVMFuzzerRunDriver(&count, &arguments) { data, size in
        let bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: size))
        check(bytes)
        check(mended(bytes))
        return 0
    })
