"""wix-asgi for Litestar: `WixPlugin`, and `WixDep`, the client as a dependency."""

from wix_asgi.frameworks.litestar import WixDep, WixPlugin

__all__ = ["WixDep", "WixPlugin"]
