"""`Wix` for code that cannot await; the portal that runs it is in `concurrency`."""
