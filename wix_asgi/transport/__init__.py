"""HTTP connections: the pool that a process shares. Knows nothing of Wix."""
