/// Histories that a fault was found by, in dmsnap or in the simulation, each with what went wrong; all
/// are lived again each time.
enum KeptLives {
    static let all: [(what: String, history: String)] = [
        (
            "the simulated kernel merged what of an image makes no sector",
            "image 45672 4096 147: activate, write 829, monitor, online 954"
        ),
        (
            "an online restore that a crash came into before anything was back",
            "image 6258 1024 38: activate, write 97, monitor, online 791, cut 79"
        ),
        (
            "a store that was full under a mount is given up while the session is open",
            "disk 12800 1024 64: activate, mount, fill 964, monitor"
        ),
        (
            "deactivated after a boot, by the name from before it",
            "disk 32768 1024 43: activate, crash 633, rename, deactivate"
        ),
        (
            "restored after a boot and before it is assembled: refused, and nothing is taken for lost",
            "disk 8192 1024 1: activate, check 1, mount, write 3, crash, restore, assemble"
        ),
        (
            "deactivated after a boot and not assembled: a session that a crash cut short didn't say so",
            "disk 8192 1024 1: activate, check 1, mount, write 3, crash, deactivate"
        ),
        (
            "restored after a boot, under a new name: the device was taken for one that isn't activated",
            "disk 17408 512 5387: activate, write 823, monitor, cut 211, rename, restore 198"
        ),
        (
            "activated again after a boot, under a new name: it was activated twice",
            "disk 17408 512 5387: activate, write 823, monitor, cut 211, rename, activate, restore"
        ),
        (
            "deactivated after a boot, under a new name, by which it wasn't found",
            "disk 32768 1024 43: activate, write 1, crash, rename, deactivate, activate"
        ),
        (
            "forced back to the middle of an online restore, it was said to be what it was",
            "image 36189 2048 3101: activate, write 465, monitor, online 500, write 407, crash 248, "
                + "assemble, merge 1000, monitor, accept 944"
        ),
        (
            "the same after a power cut",
            "disk 9216 512 5964: activate, write 172, monitor, write 772, monitor, online 915, "
                + "write 909, cut 385, assemble, merge 1000, monitor, accept 807"
        ),
    ]
}
