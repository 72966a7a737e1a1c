"""Tells whether a store that is in use keeps the contract of `wix_asgi.storage.Storage`.

    async with open_storage(url) as storage:
        for finding in await check(storage):
            print(finding.rule, finding.case, finding.seen)

Its cases are those of `wix_asgi.testing.storage` that do no harm; it needs no pytest.
"""

from wix_asgi.testing.storage_check.checking import Finding, check

__all__ = ["Finding", "check"]
