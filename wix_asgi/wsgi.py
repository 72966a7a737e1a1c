"""wix-asgi for WSGI: `WixWSGIMiddleware`, and the client of a request of any framework."""

from wix_asgi.frameworks.wsgi import WixWSGIMiddleware, sync_wix_of

__all__ = ["WixWSGIMiddleware", "sync_wix_of"]
