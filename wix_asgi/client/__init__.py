"""The httpx client that is authenticated as one site."""
