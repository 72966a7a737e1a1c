"""The fake Wix: its app, its pages, its endpoints, and the ways to disturb them.

Users import `FakeWix` from `wix_asgi.testing`; the modules without an underscore define the names
that are public there. Of wix-asgi it uses the key derivation and the HTTP library only, so that it
shares no code with the requests and signatures it checks.
"""
