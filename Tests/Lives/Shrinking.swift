extension History {
    /// The same failure with fewer steps: whatever can be left out, while it still fails.
    ///
    /// - Parameter fails: whether a history fails.
    package func shrunk(while fails: (History) -> Bool) -> History {
        var least = self
        var length = max(1, steps.count / 2)
        while true {
            var start = 0
            var isShorter = false
            while start < least.steps.count {
                var candidate = least
                let end = min(start + length, least.steps.count)
                candidate.steps.removeSubrange(start..<end)
                if fails(candidate) {
                    least = candidate
                    isShorter = true
                } else {
                    start += length
                }
            }
            if length > 1 {
                length /= 2
            } else if !isShorter {
                return least
            }
        }
    }
}
