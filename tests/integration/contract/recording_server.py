"""Sink: a server over TLS that takes everything, and keeps what was on the wire."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "an-etag"\r\n\r\n'


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""


class RecordingServer:
    """Answers 200 to every request, on a free port while it is entered."""

    def __init__(self, folder: Path) -> None:
        """Write the certificate into `folder`."""
        self.certificate, key = _certificate(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._listener = socket.create_server((HOST, 0))
        self.seen: list[RecordedRequest] = []
        self.connections = 0
        """How many there have been."""

    @property
    def url(self) -> str:
        """The endpoint for clients."""
        return f"https://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        self._listener.close()

    def _accept(self) -> None:
        try:
            while True:
                plain, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._converse, args=(plain,), daemon=True).start()
        except OSError:
            return  # closed

    def _converse(self, plain: socket.socket) -> None:
        try:
            with (
                plain,
                self._context.wrap_socket(plain, server_side=True) as secure,
                cast("BinaryIO", secure.makefile("rb")) as reader,
            ):
                while request := reader.readline():
                    method, path, _ = request.decode().split()
                    headers = {}
                    while (line := reader.readline()) not in {b"\r\n", b""}:
                        name, _, value = line.decode("latin-1").partition(":")
                        headers[name.lower()] = value.strip()
                    reader.read(int(headers.get("content-length", 0)))
                    self.seen.append(RecordedRequest(method, path, headers))
                    secure.sendall(_ANSWER)
        except OSError:
            return  # the client went away, or does not trust us


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for this machine; give its file, and that of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "batcher test sink")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), False)  # noqa: FBT003
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)  # noqa: FBT003
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(pem))
    files[1].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
