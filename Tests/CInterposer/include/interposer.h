// Counts, fails, or ends for ever the changes that a thread makes to files: the C library's calls
// for them are defined here as well, and a program's own definitions come before a library's.
#ifndef INTERPOSER_H
#define INTERPOSER_H

// A thread's changes are left alone until it calls `interposer_begin`.
enum interposer_mode {
    INTERPOSER_OFF,
    // Everything succeeds; all steps, and those that change something, are counted.
    INTERPOSER_COUNT,
    // The step with the number `at` (from 1) fails with EIO, once.
    INTERPOSER_FAIL,
    // The change with the number `at` and all later ones fail with EIO and change nothing: what a
    // process that was killed before it would have left.
    INTERPOSER_DIE,
};

void interposer_begin(int mode, long at);
// Then the thread is left alone again. How many steps there were since `interposer_begin`, and how
// many of them were changes.
long interposer_end(long *changes);

// Counts one step made by other means. 0: go on; -1 with errno: it fails.
int interposer_step(const char *what, int changes);
// What failed, or died, or was counted last.
const char *interposer_last(void);

// Between these two nothing is counted and nothing fails: what somebody else does meanwhile.
void interposer_pause(void);
void interposer_resume(void);

// From 1 to the matching -1 fsync(2) is left out, for speed: no test here can lose its power.
void interposer_hurry(int more);

#endif
