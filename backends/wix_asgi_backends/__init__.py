"""The storage backends that come with wix-asgi; `wix_asgi.storage` chooses one by URL."""
