"""Operations on a whole storage, for operators: rotating keys, copying, moving to another grant.

They read through `installations`, unseal with `sealing`, ask Wix through `oauth` if at all, and
know nothing of HTTP or of a terminal; the command line stands in `wix_asgi.cli`.
"""
