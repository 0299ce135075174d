"""Server: SeaweedFS, which gives the disk back that deleted objects took."""

from __future__ import annotations

from http.client import HTTPConnection

from batcher.tools.demo.seaweedfs import HOST
from support.s3_servers import SeaweedFS

VACUUM_S = 60.0
GARBAGE = 0.2
"""The share of a volume from which on it is worth the work."""


class Server(SeaweedFS):
    """SeaweedFS; by itself it would vacuum only every quarter of an hour."""

    def give_back_deleted(self) -> None:
        """Let it rewrite the volumes that are mostly deleted."""
        connection = HTTPConnection(HOST, self._ports["master"], timeout=VACUUM_S)
        try:
            connection.request("GET", f"/vol/vacuum?garbageThreshold={GARBAGE}")
            connection.getresponse().read()
        finally:
            connection.close()
