"""The httpx client that is authenticated as one site.

It works with callers, tokens and HTTP; it knows neither the storage nor the handshake.
"""
