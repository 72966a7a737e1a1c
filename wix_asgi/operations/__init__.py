"""Operations on a whole storage, for operators: rotating keys, and copying installations.

They read through `installations`, unseal with `sealing`, and know nothing of HTTP, of Wix or of a
terminal; the command line stands in `wix_asgi.cli`.
"""
