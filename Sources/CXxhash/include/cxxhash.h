// XXH3 of xxHash, compiled from Debian's header into this module: no library is loaded for it.
#ifndef CXXHASH_H
#define CXXHASH_H

#include <stddef.h>
#include <stdint.h>

// The 64-bit hash of `count` bytes.
uint64_t cxxhash_xxh3(const void *bytes, size_t count, uint64_t seed);

#endif
