"""SigningCredentials: what aioboto3 signs its requests with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from botocore.credentials import ReadOnlyCredentials

from batcher.stores.credentials.source import CredentialSource


class SigningCredentials:
    """Credentials in botocore's form. `CredentialSource` finds them, as for the other engine.

    The SDK's own cannot be replaced while a client lives, and its search may wait without end.
    """

    method = "batcher"
    """As in botocore's credentials: their source."""
    account_id = None

    def __init__(self, source: CredentialSource) -> None:
        """Sign with the current credentials of `source`."""
        self._source = source

    async def load_credentials(self) -> SigningCredentials:
        """Return itself: it is the SDK's whole chain of sources, too."""
        return self

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return credentials for one request."""
        source, found = self._source, self._source.credentials
        if found is None or source.is_due():
            get = partial(source.get, "GetCredentials", "")
            found = (await source.run(get, "GetCredentials", ""))[1]
        return ReadOnlyCredentials(
            found.access_key_id, found.secret_access_key, found.session_token or None
        )

    def get_deferred_property(self, name: str) -> Callable[[], object]:
        """Return what returns a property. Endpoints of accounts are not S3's."""
        return lambda: getattr(self, name, None)
