// libFuzzer's own main loop (compiler-rt, FuzzerInterface.h), for a program that has a main.
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(
    int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));
