import FuzzTesting

Fuzzer.run { bytes in
    check(bytes)
    check(mended(bytes))
}
