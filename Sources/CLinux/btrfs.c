#include "clinux.h"

#include <errno.h>
#include <linux/btrfs.h>
#include <string.h>
#include <sys/ioctl.h>

static int on_btrfs_device(int control_fd, unsigned long request, const char *path) {
    struct btrfs_ioctl_vol_args arguments;
    memset(&arguments, 0, sizeof arguments);
    size_t length = strlen(path);
    // An empty name is every device.
    if (length == 0 || length >= sizeof arguments.name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(arguments.name, path, length);
    return ioctl(control_fd, request, &arguments);
}

int clinux_btrfs_forget(int control_fd, const char *path) {
    return on_btrfs_device(control_fd, BTRFS_IOC_FORGET_DEV, path);
}

int clinux_btrfs_scan(int control_fd, const char *path) {
    return on_btrfs_device(control_fd, BTRFS_IOC_SCAN_DEV, path);
}
