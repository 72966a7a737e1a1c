"""wix-asgi for Django: `WixRequestMiddleware`, the last entry of `MIDDLEWARE`."""

from wix_asgi.frameworks.django import WixRequestMiddleware

__all__ = ["WixRequestMiddleware"]
