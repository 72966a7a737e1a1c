"""A valid access token for an installation: cached, and refreshed once over all processes."""
