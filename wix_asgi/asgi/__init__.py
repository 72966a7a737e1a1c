"""The edges of an ASGI app: its lifespan, its requests' headers, and its server's access logs."""
