"""wix-asgi for FastAPI: `WixDep`, the client as a dependency."""

from wix_asgi.frameworks.fastapi import WixDep

__all__ = ["WixDep"]
