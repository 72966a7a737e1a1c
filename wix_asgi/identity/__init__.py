"""The caller of a request: the site that a proof of Wix or the app itself names.

It reads requests, verifies signatures, and asks Wix whose an access token is; it knows no storage.
"""
