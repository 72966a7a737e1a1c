"""The storage backends that come with wix-asgi, chosen by URL."""

__all__: list[str] = []
