#include "curing.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

struct curing {
    struct io_uring ring;
};

static int has_reads_and_writes(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    int has = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_READ) &&
              io_uring_opcode_supported(probe, IORING_OP_WRITE);
    io_uring_free_probe(probe);
    return has;
}

struct curing *curing_open(unsigned depth)
{
    struct curing *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    if (io_uring_queue_init(depth, &made->ring, 0) != 0) {
        free(made);
        return NULL;
    }
    if (!has_reads_and_writes(&made->ring)) {
        curing_close(made);
        return NULL;
    }
    return made;
}

void curing_close(struct curing *ring)
{
    io_uring_queue_exit(&ring->ring);
    free(ring);
}

int curing_add_read(
    struct curing *ring, int fd, void *memory, unsigned length, uint64_t offset, uint64_t tag)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
    if (entry == NULL)
        return -EBUSY;
    io_uring_prep_read(entry, fd, memory, length, offset);
    entry->user_data = tag;
    return 0;
}

int curing_add_write(
    struct curing *ring, int fd, const void *memory, unsigned length, uint64_t offset, uint64_t tag)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
    if (entry == NULL)
        return -EBUSY;
    io_uring_prep_write(entry, fd, memory, length, offset);
    entry->user_data = tag;
    return 0;
}

int curing_submit(struct curing *ring)
{
    return io_uring_submit(&ring->ring);
}

int curing_wait(struct curing *ring, uint64_t *tag, int *result)
{
    struct io_uring_cqe *entry = NULL;
    if (io_uring_peek_cqe(&ring->ring, &entry) != 0 || entry == NULL) {
        int submitted = io_uring_submit_and_wait(&ring->ring, 1);
        if (submitted < 0)
            return submitted;
        if (io_uring_peek_cqe(&ring->ring, &entry) != 0 || entry == NULL)
            return -EAGAIN;
    }
    *tag = entry->user_data;
    *result = entry->res;
    io_uring_cqe_seen(&ring->ring, entry);
    return 0;
}
