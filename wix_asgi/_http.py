"""The HTTP library, imported in this one module so that moving to a successor is one line."""

import httpx as httpx  # noqa: PLC0414, TID251 - re-exported, and this is the one place

__all__ = ["httpx"]
