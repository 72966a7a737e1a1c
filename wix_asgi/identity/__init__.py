"""The caller of a request: the site that a proof of Wix, a session or the app itself names.

It reads requests, verifies signatures, asks Wix whose an access token is, and opens and seals
sessions. It knows no storage: whether the installation of a session is in place is told by a
function that is handed in.
"""
