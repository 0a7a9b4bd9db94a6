/*
 * dmsnap.h: activate and deactivate block devices and image files for snapshot sessions.
 *
 * Link with -ldmsnap. Both calls need root, an installed dmsnap and its udev rule, and device-mapper
 * in the kernel. They may be called from any thread; they do file and device I/O and can take
 * seconds. A wrong password takes two seconds longer.
 *
 * What is the program's own stays as it was: its signals' handlers and masks, umask, directory,
 * environment, limits and children (there is no SIGCHLD from here, and nothing to wait for), and
 * libdevmapper's log function and name mangling. Four things it should know:
 * - While a call runs no other thread may use libdevmapper, which is not made for threads; and where
 *   no udev runs, libdevmapper changes the umask for an instant to make a device's node.
 * - libdevmapper's control device stays open, close-on-exec.
 * - Record locks (fcntl(2), F_SETLK) that the program itself has on the device or image are lost: the
 *   kernel drops them when any of its descriptors of that file is closed.
 * - The copy of the password that is made here is overwritten before the call returns. The program's
 *   own is the program's, and so is whether it may dump core.
 *
 * Each returns DMSNAP_OK (0) or one of the negative codes. dmsnap_error() then tells the whole
 * message: what is wrong with which device, and what to do.
 */
#ifndef DMSNAP_H
#define DMSNAP_H

#ifdef __cplusplus
extern "C" {
#endif

/* The codes are the dmsnap command's exit statuses (sysexits.h), negated. */
#define DMSNAP_OK 0
#define DMSNAP_E_UNSUITABLE (-64) /* an argument is NULL, or the device can't be used at all */
#define DMSNAP_E_DAMAGED (-65)    /* the registry or a session's record is damaged */
#define DMSNAP_E_NO_DEVICE (-66)  /* no such device or image, or it is not activated */
#define DMSNAP_E_NO_DM (-69)      /* this kernel has no device-mapper snapshots */
#define DMSNAP_E_INTERNAL (-70)   /* a fault of dmsnap's own */
#define DMSNAP_E_IO (-74)         /* an input or output error */
#define DMSNAP_E_BUSY (-75)       /* the device is mounted or otherwise used */
#define DMSNAP_E_DENIED (-77)     /* not root, a wrong password, or no password set yet */

/*
 * From now on every mount of the device is a session. `devname` is any path of a block device, or
 * an image file's path; `password` is the service's own, set with `dmsnap passwd`.
 * Activating what is activated already is no failure.
 */
int activate_snapshot(const char *devname, const char *password);

/* Ends it; the sessions stay. The device must not be mounted. */
int deactivate_snapshot(const char *devname, const char *password);

/* The same two under the names of the kernel module that dmsnap replaces. */
int sys_activate_snapshot(const char *devname, const char *password);
int sys_deactivate_snapshot(const char *devname, const char *password);

/*
 * The message of this thread's last call that failed; "" if none did. It stays valid until the
 * thread's next call. Never NULL; not to be freed.
 */
const char *dmsnap_error(void);

#ifdef __cplusplus
}
#endif

#endif
