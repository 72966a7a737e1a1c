"""wix-asgi for FastAPI: `add_wix`, and `WixDep`, the client as a dependency."""

from wix_asgi.frameworks.fastapi import WixDep
from wix_asgi.frameworks.starlette import add_wix, refuse

__all__ = ["WixDep", "add_wix", "refuse"]
