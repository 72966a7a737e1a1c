"""wix-asgi for Flask: `wix`, the client of the request, and refusals as answers."""

from wix_asgi.frameworks.flask import answer_refusals, wix

__all__ = ["answer_refusals", "wix"]
