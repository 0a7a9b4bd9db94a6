// What Swift can't import from the kernel's and libc's headers: variadic functions, function-like
// macros, and macros with casts. Each function here is one call, with errno left as the call set it.
#ifndef CLINUX_H
#define CLINUX_H

#include <linux/fuse.h>
#include <sys/eventfd.h>
#include <stdint.h>
#include <sys/types.h>

// Forks. The first process doesn't return: it ends as the second one does, or with 0 when that stays. Gives the
// second one what clinux_background_stay takes; -1 with errno.
int clinux_background(void);
int clinux_background_stay(int end);

// Block devices (linux/fs.h). Each returns 0, or -1 with errno.
int clinux_blk_size(int fd, uint64_t *bytes);
int clinux_blk_logical_sector(int fd, uint32_t *bytes);
int clinux_blk_flush_buffers(int fd);

// btrfs's list of devices (linux/btrfs.h), through /dev/btrfs-control: forgets what isn't mounted, or looks at one.
// Each returns 0, or -1 with errno.
int clinux_btrfs_forget(int control_fd, const char *path);
int clinux_btrfs_scan(int control_fd, const char *path);

// syncfs(2), which needs _GNU_SOURCE.
int clinux_sync_file_system(int fd);

// Device numbers (sys/sysmacros.h).
unsigned int clinux_major(dev_t device);
unsigned int clinux_minor(dev_t device);
dev_t clinux_makedev(unsigned int major, unsigned int minor);

// Loop devices (linux/loop.h).
int clinux_loop_get_free(int control_fd);
// LOOP_CONFIGURE: attaches `backing_fd` in one step; with `autoclear` until nobody has `loop_fd`'s device
// open any more.
int clinux_loop_configure(
    int loop_fd, int backing_fd, uint32_t block_size, int read_only, int direct_io, int autoclear);
int clinux_loop_clear(int loop_fd);
// The device and inode number of the backing file, which LOOP_GET_STATUS64 gives unabridged, and the
// part of it that the loop device has: from `offset` on, `limit` bytes (0: to its end).
int clinux_loop_backing(
    int loop_fd, uint64_t *device, uint64_t *inode, uint64_t *offset, uint64_t *limit);

// Mounts a device in no directory (fsopen(2), fsmount(2)): a descriptor of the mount's root, or -1 with
// errno and, in `message`, what the file system said. `options` are words, `key` or `key=value`, and end
// with NULL. Where it is not to be writable, neither set-uid bits nor device nodes in it count.
int clinux_mount_detached(
    const char *type, const char *source, char *const options[], int is_writable, char *message,
    size_t length);
// Puts it into a directory (move_mount(2)): 0, or -1 with errno.
int clinux_mount_attach(int mount_fd, const char *directory);

enum {
    CLINUX_CONFINED_SPACE = 1, // the namespaces
    CLINUX_CONFINED_MOUNT,     // the mount in the directory
    CLINUX_CONFINED_EXEC,      // the command itself
    CLINUX_CONFINED_RAN,
};
// Runs `arguments`, found by PATH, with what clinux_mount_detached has given mounted on `directory` for it
// alone, in namespaces of its own for mounts and processes (clone(2)), and waits: its exit status, or 128
// and the number of the signal that ended it; or -1 with errno, and in `step` what failed. With the
// command's end every process in there is killed, and with this program's end, too; so nothing is mounted
// any more when it returns. SIGTERM and SIGHUP go on to the command; SIGINT and SIGQUIT, which a terminal
// gives to both, are left to it.
int clinux_run_confined(
    int mount_fd, const char *directory, char *const arguments[], int *step);

// What statx(2) says of a file itself, no symbolic link followed, by its path from an open directory (or -1:
// the current one); times in nanoseconds since 1970, the birth's 0 where the file system keeps none. 0, or -1
// with errno.
struct clinux_entry {
    uint64_t inode, size, device;
    int64_t modified, changed, born;
    uint32_t mode, owner, group;
};
int clinux_entry(int directory, const char *path, struct clinux_entry *entry);
// Opens a path as if `root` were the root directory, `..` and symbolic links in it included, but not what
// its last component links to (openat2(2), O_PATH): a descriptor, or -1 with errno.
int clinux_open_within(int root, const char *path);

// Device-mapper's own control device (linux/dm-ioctl.h, DM_DEV_ARM_POLL): after it, poll(2) on
// `control_fd` reports the next event of any device-mapper device. libdevmapper keeps its own
// descriptor to itself, so this one ioctl is made here.
int clinux_dm_arm_poll(int control_fd);

// open(2)'s O_DIRECT, which differs between architectures and needs _GNU_SOURCE.
int clinux_o_direct(void);

// Whether anybody has a record lock on a part of the file that would keep a writer from the whole of
// it (fcntl(2), F_OFD_GETLK): 1, with whether it is a write lock, and its owner's process or -1 for an
// open file description's; 0 for none; -1 with errno.
int clinux_get_lock(int fd, int *is_write, pid_t *owner);

// renameat2(2) with RENAME_NOREPLACE: EEXIST if the new name is taken.
int clinux_rename_new(const char *from, const char *to);

// No core dump, no ptrace by the same user: for a process that holds a password (prctl(2)).
int clinux_undumpable(void);

// Blocks SIGTERM, SIGINT and SIGHUP and returns a descriptor that reads them (signalfd(2)), or -1.
int clinux_termination_fd(void);

// Sets a flag on SIGINT and SIGTERM instead of dying; `clinux_interrupted` tells whether one came.
void clinux_catch_interrupts(void);
int clinux_interrupted(void);
// What would end the program, for this thread alone: held back, or let through again, whatever has come.
void clinux_hold_interrupts(int held);

// A descriptor that becomes readable when a file is renamed into `directory` or removed from it
// (inotify(7)), or -1.
int clinux_watch_names(const char *directory);
// Takes what it has; whether one of the names begins with `first`, or some were lost.
int clinux_take_names(int fd, char first);
// Reads and forgets what a non-blocking descriptor has.
void clinux_drain(int fd);

// A descriptor for `clinux_watch_writers` to add files to (inotify(7)), or -1.
int clinux_writers_fd(void);
// Reports, from now on, that somebody who had `path` open for writing has closed it, and, with
// `writes`, each write(2) to it; the watch's number, the same for a file that is watched already, or -1.
int clinux_watch_writers(int fd, const char *path, int writes);
// The number of the next watch that has something to report: a write if `wrote` is set, else a close;
// -1 if none has.
int clinux_next_writer(int fd, int *wrote);

// A pipe, both ends close-on-exec: `ends[0]` to read, `ends[1]` to write.
int clinux_pipe(int ends[2]);

// Runs `arguments` with no input and no output and waits; its exit status, or -1 with errno. The program
// that this is part of gets no SIGCHLD, and can't wait for it by mistake.
int clinux_run(const char *path, char *const arguments[]);

// Tells systemd (sd_notify(3)'s protocol) `state`, such as `READY=1`; 0 where there is no systemd.
int clinux_notify(const char *state);

// Runs `arguments` (NULL-terminated) in a session of its own, detached from the terminal and the
// caller, whose child it is not: standard input from /dev/null, output to `log_path` (appended, 0600),
// one descriptor `ready_fd` kept open as descriptor 3 (or -1 for none). 0, or -1 with errno.
int clinux_spawn_detached(
    const char *path, char *const arguments[], const char *log_path, int ready_fd);

// Calls `action`, which may close it, with every open descriptor from `first` on, as proc(5) lists them;
// -1 with errno without proc. No heap and no lock: for a child of a process with threads, too.
int clinux_each_open(int first, void (*action)(int));

// Closes every descriptor from `first` on; with or without proc, and in such a child, too.
void clinux_close_from(int first);
// Marks them close-on-exec instead.
void clinux_seal_from(int first);

// Gives the calling thread a table of descriptors of its own (unshare(2), CLONE_FILES) with no more in it
// than those `kept`, which it sorts: they are closed there when the thread ends, however it ends, and
// whatever the process's other threads wait for. 0, or -1 with errno.
int clinux_keep_for_thread(int kept[], size_t count);

// The same open file as a descriptor above standard error, close-on-exec, if it is one of 0 to 2, which
// then is closed; else as it is. -1 with errno if that fails, and then it is closed, too.
int clinux_above_standard(int fd);
// Opens those of 0 to 2 that are closed: 0 for reading and 1 and 2 for writing /dev/null, or else "/",
// where neither can be done. A bit (1 << fd) for each that was closed.
int clinux_open_standard(void);

// A child process that resumes a suspended device-mapper device if this one dies without having done
// so (DM_DEV_SUSPEND of linux/dm-ioctl.h, without its flag).
struct clinux_guard {
    pid_t process;
    int end;  // the pipe's end that is open as long as this process is
};
// Starts it for the device of this name, as the kernel has it, before the device is suspended. When
// it returns the guard stands: 0; or -1 with errno, and there is none (ENXIO: no such device).
int clinux_guard_start(const char *name, struct clinux_guard *guard);
// Lets it go, and waits for its end. If the device isn't resumed the guard does it first: 0, or -1 if
// it couldn't. If it is, the result says nothing.
int clinux_guard_end(struct clinux_guard *guard, int is_resumed);

// How many characters a line of the terminal has; 0 where it is none.
int clinux_terminal_columns(int fd);

// Turns the echo of the terminal `fd` off until `clinux_prompt_end`; -1 if it is no terminal. A signal
// that ends or stops the process meanwhile gives the terminal its echo back before it does so; after a
// stop the echo is off again, and a read(2) that was under way fails with EINTR. One at a time.
int clinux_prompt_begin(int fd);
void clinux_prompt_end(void);

// Runs `arguments` with the caller's input and output and waits, deaf to SIGINT and SIGQUIT meanwhile
// as system(3) is; its exit status, 128 and the number of the signal that ended it, or -1 with errno.
int clinux_run_visibly(const char *path, char *const arguments[]);

// Takes LO_FLAGS_AUTOCLEAR off a loop device that somebody else attached with it: it then stays when
// nobody has it open. 0, or -1 with errno.
int clinux_loop_keep(int loop_fd);

// Whether two descriptors of two processes are one open file (kcmp(2), KCMP_FILE). 1 or 0, or -1 with errno.
int clinux_is_same_file(int pid, int fd, int other_pid, int other_fd);

#endif
