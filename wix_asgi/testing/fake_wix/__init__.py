"""The fake Wix: its app, its pages, its endpoints, and the ways to disturb them.

Users import `FakeWix` from `wix_asgi.testing`; the modules without an underscore define the names
that are public there. It shares no code with the requests and signatures it checks: of wix-asgi it
uses the key derivation and the HTTP library, and `Wix`, `WixMiddleware` and the storages to put
itself in place and to reach an app.
"""
