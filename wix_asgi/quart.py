"""wix-asgi for Quart: `add_wix`, and `wix`, the client of the request."""

from wix_asgi.frameworks.quart import add_wix, wix

__all__ = ["add_wix", "wix"]
