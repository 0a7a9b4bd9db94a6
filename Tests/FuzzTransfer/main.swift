import FuzzTesting

Fuzzer.run(check)
