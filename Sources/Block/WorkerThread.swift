internal import Glibc

/// A thread of our own that runs one closure.
@safe package struct WorkerThread {
    private let thread: pthread_t

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread; nil where the system gives none.
    ///
    /// - Parameter niceness: What is added to its nice value. On Linux that is a thread's own, and
    ///   its I/O follows it (ioprio_set(2)).
    package static func start(
        niceness: Int = 0, _ run: @escaping @Sendable () -> Void
    ) -> WorkerThread? {
        let body = Body {
            if niceness > 0 {
                // Lowering one's own priority needs no permission, and is only a courtesy.
                let which = Int32(PRIO_PROCESS.rawValue)
                _ = setpriority(which, 0, getpriority(which, 0) + Int32(niceness))
            }
            run()
        }
        // Signals are for the threads that wait for them: a new one inherits the mask.
        var all = sigset_t()
        var old = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &old)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &old, nil) }
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(body)
        let result = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard result == 0 else {
            unsafe argument.release()
            return nil
        }
        return WorkerThread(thread: thread)
    }

    /// Waits until the closure has returned.
    package func join() {
        pthread_join(thread, nil)
    }
}
