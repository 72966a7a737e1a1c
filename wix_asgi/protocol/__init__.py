"""Wix's wire protocol: requests, answers, signatures. No I/O."""
