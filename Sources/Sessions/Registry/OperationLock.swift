import Block

/// Who may change an activation's tables: whoever holds its lock, and nobody else.
extension Registry {
    /// Runs `body` as the only one that changes this activation's tables.
    ///
    /// - Returns: what `body` returned, which is given the activation as it is now.
    func operating<Result>(
        on id: String, _ body: (Activation) throws -> Result
    ) throws(SessionsError) -> Result {
        try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            return try holding(layout.operationLock(id), for: name(of: id)) {
                try withRegistered(id, body)
            }
        }
    }

    /// The same, for what may take hours: it is refused while another such one runs.
    ///
    /// - Parameter pause: waits a little between two looks.
    func operatingAlone<Result>(
        on id: String, pause: () -> Void, _ body: (Activation) throws -> Result
    ) throws(SessionsError) -> Result {
        try asSessionsError {
            try Files.makeDirectory(layout.runDirectory)
            let lock = layout.operationLock(id)
            // An exchange of stores, which the monitor may be at, is over sooner.
            for _ in 0..<50 {
                if let taken = try FileLock.takeIfFree(lock) {
                    return try taken.holding { try withRegistered(id, body) }
                }
                pause()
            }
            throw SessionsError.busy(
                device: name(of: id),
                reason: "another dmsnap command works on it", advice: "wait for its end")
        }
    }

    /// Runs `body` only if nobody works on the activation.
    ///
    /// - Returns: nil if somebody does, or it is gone.
    func operatingIfFree<Result>(
        on id: String, _ body: (Activation) throws -> Result
    ) throws -> Result? {
        guard let taken = try FileLock.takeIfFree(layout.operationLock(id)) else { return nil }
        return try taken.holding {
            guard try read()[id: id] != nil else {
                try Files.remove(layout.operationLock(id))
                return nil
            }
            return try withRegistered(id, body)
        }
    }

    /// The same of several; in one order whoever asks, so that no two wait for each other.
    ///
    /// - Returns: what `body` returned, which is given the activations as they are now, in the order of `ids`.
    func operating<Result>(
        onAll ids: [String], _ body: ([Activation]) throws -> Result
    ) throws(SessionsError) -> Result {
        try asSessionsError { try inTurn(ids.sorted()[...]) { try body(current(ids)) } }
    }

    /// The same of several, for what may take hours.
    func operatingAlone<Result>(
        onAll ids: [String], pause: () -> Void, _ body: ([Activation]) throws -> Result
    ) throws(SessionsError) -> Result {
        try asSessionsError {
            try inTurn(ids.sorted()[...], alone: pause) { try body(current(ids)) }
        }
    }

    private func current(_ ids: [String]) throws(SessionsError) -> [Activation] {
        try ids.map { id throws(SessionsError) in try activation(id) }
    }

    private func inTurn<Result>(
        _ left: ArraySlice<String>, _ body: () throws -> Result
    ) throws -> Result {
        guard let first = left.first else { return try body() }
        return try operating(on: first) { _ in try inTurn(left.dropFirst(), body) }
    }

    private func inTurn<Result>(
        _ left: ArraySlice<String>, alone pause: () -> Void, _ body: () throws -> Result
    ) throws -> Result {
        guard let first = left.first else { return try body() }
        return try operatingAlone(on: first, pause: pause) { _ in
            try inTurn(left.dropFirst(), alone: pause, body)
        }
    }

    private func name(of id: String) -> String {
        (try? read())?[id: id]?.path.text ?? id
    }

    private func withRegistered<Result>(
        _ id: String, _ body: (Activation) throws -> Result
    ) throws -> Result {
        guard let activation = try read()[id: id] else {
            try? Files.remove(layout.operationLock(id))
            throw SessionsError.notActivated(id)
        }
        return try body(activation)
    }
}
