"""The caller of a request: the site that a signed instance or the app itself names.

It reads requests and verifies signatures; it knows no storage and calls nobody.
"""
