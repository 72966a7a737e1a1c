"""HTTP connections: the pool that a process shares, bodies and origins. Knows nothing of Wix."""
