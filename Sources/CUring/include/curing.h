// Reads and writes of one file by io_uring, through liburing.
//
// Its own header is not included: it defines what <linux/io_uring.h> defines, and only one of the two
// can be in a program's modules.
#ifndef CURING_H
#define CURING_H

#include <stdint.h>

struct curing;

// A ring with room for `depth` requests; NULL where the kernel has no io_uring, or none for us, or
// one without plain reads and writes.
struct curing *curing_open(unsigned depth);
// Nothing may be under way.
void curing_close(struct curing *ring);

// Adds a request; at most `depth` may be under way. 0, or -EBUSY where those added before have to be
// submitted first.
int curing_add_read(
    struct curing *ring, int fd, void *memory, unsigned length, uint64_t offset, uint64_t tag);
int curing_add_write(
    struct curing *ring, int fd, const void *memory, unsigned length, uint64_t offset,
    uint64_t tag);

// Hands what was added to the kernel: how many, or -errno. Nothing is lost by an error.
int curing_submit(struct curing *ring);

// Submits what was added and takes one request that has ended: 0, or -errno where none was waited
// for (EINTR, EAGAIN, EBUSY, ENOMEM); `result` is the call's, with -errno for -1.
int curing_wait(struct curing *ring, uint64_t *tag, int *result);

#endif
