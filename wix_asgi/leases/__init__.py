"""Leases in storage: of all processes and hosts, one at a time does the work. Knows no Wix."""
