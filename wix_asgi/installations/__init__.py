"""Installations in a storage, tokens unsealed."""
