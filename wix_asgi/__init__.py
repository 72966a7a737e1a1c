"""Wix app installs, tokens and an authenticated httpx client for any ASGI app."""
