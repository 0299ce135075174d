"""SigningCredentials: what aioboto3 signs its requests with."""

from __future__ import annotations

from functools import partial

from aiobotocore.credentials import AioCredentials
from botocore.credentials import ReadOnlyCredentials

from batcher.stores.credentials.source import CredentialSource


class SigningCredentials(AioCredentials):  # type: ignore[misc]  # it has no types
    """Credentials in botocore's form. `CredentialSource` finds them, as for the other engine.

    The SDK's own cannot be replaced while a client lives, and its search may wait without end.
    """

    def __init__(self, source: CredentialSource) -> None:
        """Sign with the current credentials of `source`."""
        super().__init__("", "", method="batcher")
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
