"""The edges of an ASGI app: its lifespan, and its server's access logs."""
