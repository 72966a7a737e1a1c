"""The fake Wix. Import `FakeWix` from `wix_asgi.testing`."""
