"""Keys, and tokens sealed with them. No I/O, no settings."""
