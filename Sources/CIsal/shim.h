#include <isa-l/igzip_lib.h>

// A macro of several terms, which Swift doesn't take: the memory that level 1 works with.
enum { CISAL_LEVEL_1_BUFFER = ISAL_DEF_LVL1_DEFAULT };
