/* Mounts DEVICE on POINT, writes a file NAME, unmounts; TIMES times, as fast as the kernel does it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* The device can be suspended or claimed for an instant: EBUSY is asked again. */
static int again(int attempt) {
    if (errno != EBUSY && errno != EINTR) return 0;
    usleep(5000);
    return attempt < 2000;
}

int main(int argc, char **argv) {
    if (argc != 5 || chdir("/") != 0) return 2;
    const char *device = argv[1], *point = argv[2], *name = argv[3];
    char file[4096], text[32];
    snprintf(file, sizeof file, "%s/%s", point, name);
    for (int round = 0; round < atoi(argv[4]); round++) {
        for (int attempt = 0; mount(device, point, "ext4", 0, NULL) != 0; attempt++)
            if (!again(attempt)) fail("mount");
        unlink(file);
        int fd = open(file, O_CREAT | O_EXCL | O_WRONLY, 0600);
        if (fd < 0) fail(file);
        int length = snprintf(text, sizeof text, "round %d", round);
        if (write(fd, text, length) != length || close(fd) != 0) fail(file);
        for (int attempt = 0; umount(point) != 0; attempt++)
            if (!again(attempt)) fail("umount");
    }
    return 0;
}
