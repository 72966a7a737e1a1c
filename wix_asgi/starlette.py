"""wix-asgi for Starlette: `add_wix`, and `refuse`, the handler of refused requests."""

from wix_asgi.frameworks.starlette import add_wix, refuse

__all__ = ["add_wix", "refuse"]
