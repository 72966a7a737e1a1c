"""The storage backends that come with wix-asgi: memory, SQLite and Postgres.

`wix_asgi.storage` finds them by the scheme of a URL, through entry points. Public are the class of
each module without an underscore, and the tables' `METADATA`. Of wix-asgi they import the storage
protocol, the models and the errors, and nothing else.
"""
