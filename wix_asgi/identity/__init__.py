"""The caller of a request: the site that a signed instance, a session or the app itself names.

It reads requests, verifies signatures, and opens and seals sessions. It knows no storage: whether
the installation of a session is in place is told by a function that is handed in.
"""
