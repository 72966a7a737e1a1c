"""Wix on the wire: requests, answers and signatures. No I/O; only builds and parses."""
