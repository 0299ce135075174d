"""Throughput: what the Lambda handler costs, against boto3 and against the bare floor.

All contenders write the same full events to the same sink over TLS, each in a process of its own,
in turn, round after round; so what disturbs one disturbs all, and ratios are of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from case import Bench, Series, run_case
from certificate import write_certificate
from child import Child
from report import NOTES, about, figures, ratio_table, ratios

SOURCES = ("sqs", "kinesis")
RECORD_SIZES = (1024, 200)
HIDDEN = ("AWS_", "BATCHER_", "BOTO_")
"""Variables that would let the user's own set-up in."""
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


def environment(port: int, certificate: Path) -> dict[str, str]:
    """Give the contenders' environment: the sink for S3, and nothing of the user's."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(HIDDEN) and name.lower() not in PROXIES
    }
    return own | {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_S3": f"https://127.0.0.1:{port}",
        "AWS_CA_BUNDLE": str(certificate),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def measure(rounds: int, sources: tuple[str, ...]) -> list[Series]:
    """Run every case against one sink; all it starts has ended when it returns."""
    measured: list[Series] = []
    with tempfile.TemporaryDirectory(prefix="batcher-bench-") as name:
        folder = Path(name)
        certificate, key = write_certificate(folder)
        with Child("sink.py", str(certificate), str(key), env=os.environ) as sink:
            env = environment(sink.greeting()["port"], certificate)
            bench = Bench(sink, env, folder, rounds)
            for source in sources:
                for record_bytes in RECORD_SIZES:
                    measured += run_case(source, record_bytes, bench)
    return measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each case (default 9)")
    parser.add_argument("--only", choices=SOURCES, help="events of this source only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    started_s = time.monotonic()
    setting = about()
    print("\n".join(f"{name + ':':<16}{value}" for name, value in setting.items()), flush=True)
    series = measure(chosen.rounds, (chosen.only,) if chosen.only else SOURCES)
    found = ratios(series)
    print(f"\n{figures(series)}\n\n{ratio_table(found)}\n\n{NOTES}")
    print(f"took {time.monotonic() - started_s:.0f} s")
    if chosen.json:
        result = {"about": setting, "series": list(map(asdict, series)), "ratios": found}
        chosen.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
