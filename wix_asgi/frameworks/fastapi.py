"""The client as a FastAPI dependency; the only module that imports FastAPI."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from wix_asgi.client.client import WixClient, get_wix

__all__ = ["WixDep"]

WixDep = Annotated[WixClient, Depends(get_wix)]
"""The client of the calling site: `async def products(wix: WixDep)`, in routes and websockets."""
