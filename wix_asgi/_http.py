"""The HTTP library, imported in this one module so that moving to a successor is one line."""

import httpx as httpx  # noqa: TID251 - this is the one place

__all__ = ["httpx"]
