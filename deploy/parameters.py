"""Parameters: those of `serverless.yml`, and every fault that is found without a request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it has no types
from rules import RULES

from batcher.errors import SettingsError
from batcher.settings import (
    ENV_PREFIX,
    Settings,
    require_conditional_writes,
    unknown_value,
)
from batcher.tools.check.object_settings import evaluate_object_settings

SOURCES: Mapping[str, str] = {"queue": "sqs", "stream": "kinesis", "table_stream": "dynamodb"}
"""The parameters that switch the functions on, and the functions' names."""
MAX_NAME = 64
"""Characters of a function's name. Source: Lambda API, CreateFunction."""
MAX_WITHOUT_WINDOW = 10
"""Messages of a queue per batch. Source: Lambda API, CreateEventSourceMapping."""
SETTINGS = frozenset(spec.name for spec in fields(Settings)) - {"bucket", "root", "engine"}
"""The settings that are parameters by their own names."""
OF_NEW_BUCKETS = ("access_logs_bucket", "expire_days", "quarantine_days")


@dataclass(frozen=True)
class Parameters:
    """The parameters of one deployment, as text. What is not set is left out."""

    values: Mapping[str, str]
    defaults: dict[str, str]
    """Of `serverless.yml`, whatever is chosen."""
    unknown: Sequence[str]
    """Names that `serverless.yml` does not have by default."""
    stage: str = "dev"
    region: str = "us-east-1"
    engine: str = "obstore"

    @property
    def stack(self) -> str:
        """The name of the CloudFormation stack."""
        return f"{self.values.get('name')}-{self.stage}"

    @property
    def sources(self) -> dict[str, str]:
        """The sources that are switched on: parameter and function."""
        return {key: kind for key, kind in SOURCES.items() if self.values.get(key) != "off"}

    def function(self, kind: str) -> str:
        """Return the full name of a function."""
        return f"{self.stack}-{kind}"

    def environ(self, kind: str) -> dict[str, str]:
        """Return the settings that a function finds in its environment."""
        own = {spec.name for spec in fields(Settings)} & self.values.keys()
        named = {name: self.values[name] for name in own}
        named |= {"root": self.values.get(f"{kind}_root", ""), "engine": self.engine}
        return {ENV_PREFIX + name.upper(): value for name, value in named.items()}


def read(file: Path, stage: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return `values`, `defaults` and `unknown` of `Parameters`.

    The command line's values go before the stage's, and those before the defaults.
    """
    params = _written(file)
    chosen = {**(params.get(stage) or {}), **given}
    merged = {**params["default"], **chosen}
    return {
        "values": _texts(merged),
        "defaults": _texts(params["default"]),
        "unknown": [name for name in chosen if name not in params["default"]],
    }


@cache
def _written(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(file.read_text(), _Loader)["params"]  # noqa: S506  # a SafeLoader
    return found


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Reads CloudFormation's short functions as nothing."""


_Loader.add_multi_constructor("!", lambda *_: None)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


def find_faults(parameters: Parameters) -> list[str]:
    """Return everything that is wrong, each as `parameter: problem; fix`."""
    values = parameters.values
    faults = [f"{name}: {_unknown(name)}" for name in parameters.unknown]
    wrong: set[str] = set()
    if "bucket" not in values:
        faults.append("bucket: required; make deploy BUCKET=name-of-your-bucket")
    for name, rule in RULES.items():
        found = rule(values[name]) if name in values else []
        faults += [f"{name}: {fault}" for fault in found]
        wrong |= {name} if found else set()
    settings_faults = list(_find_settings_faults(parameters, wrong))
    faults += settings_faults
    wrong |= {fault.partition(":")[0] for fault in settings_faults}
    if not re.fullmatch(r"[A-Za-z0-9-]+", parameters.stage):
        faults.append(f"stage: {parameters.stage!r} is not a stage; use letters, digits and -")
    sane = {name: value for name, value in values.items() if name not in wrong - SOURCES.keys()}
    return [*faults, *_find_disagreements(replace(parameters, values=parameters.defaults | sane))]


def _unknown(name: str) -> str:
    near = re.search("did you mean .*[?]", unknown_value(name, [*RULES, *SETTINGS]))
    return f"no such parameter; {near[0] if near else 'remove it'}"


def _find_settings_faults(parameters: Parameters, wrong: set[str]) -> Iterator[str]:
    """Return what batcher itself says of its settings, each once, by the parameters' names."""
    seen = set()
    for kind in parameters.sources.values():
        own = {f"{ENV_PREFIX}{'ROOT' if one.endswith('_root') else one.upper()}" for one in wrong}
        environ = {k: v for k, v in parameters.environ(kind).items() if k not in own}
        environ.setdefault(f"{ENV_PREFIX}BUCKET", "my-bucket")
        for fault in _settings_faults(environ):
            name, _, problem = fault.partition(": ")
            said = f"{f'{kind}_root' if name == 'root' else name}: {problem}"
            if said not in seen:
                seen.add(said)
                yield said


def _settings_faults(environ: dict[str, str]) -> list[str]:
    """Return the faults of an environment, then those of what is left without the faulty ones."""
    try:
        settings = Settings.from_env(environ)
        require_conditional_writes(settings)
    except SettingsError as error:
        names = {ENV_PREFIX + fault.partition(":")[0].upper() for fault in error.faults}
        left = {name: value for name, value in environ.items() if name not in names}
        return [*error.faults, *(_settings_faults(left) if left.keys() != environ.keys() else [])]
    amazons = [] if settings.endpoint_url else evaluate_object_settings(settings)
    return [f"{one.check.partition('.')[2]}: {one.detail}; {one.fix}" for one in amazons]


def _find_disagreements(parameters: Parameters) -> Iterator[str]:
    """Return what is wrong between parameters whose values are right."""
    values = parameters.values
    if not parameters.sources:
        yield "queue, stream, table_stream: all are off; switch on what the records come from"
    for source in SOURCES:
        yield from _find_source_disagreements(parameters, source)
    longest = parameters.function("dynamodb")
    if len(longest) > MAX_NAME:
        yield f"name: {longest} has more than {MAX_NAME} characters; shorten it, or the stage"
    yield from _find_mapping_disagreements(parameters)
    yield from _find_bucket_disagreements(parameters)
    if ("subnet_ids" in values) != ("security_group_ids" in values):
        yield "subnet_ids, security_group_ids: one is missing; a VPC needs both"
    for (one, first), (other, second) in combinations(
        [(f"{kind}_root", values[f"{kind}_root"]) for kind in parameters.sources.values()], 2
    ):
        if f"{first}/".startswith(f"{second}/") or f"{second}/".startswith(f"{first}/"):
            yield f"{one}, {other}: {first} and {second} overlap; give each a root of its own"


def _find_source_disagreements(parameters: Parameters, source: str) -> Iterator[str]:
    values, name = parameters.values, f"{source}_arn"
    if values[source] == "existing" and name not in values:
        yield f"{name}: required by {source}=existing; add --param '{name}=arn:…'"
    if values[source] == "new" and source != "table_stream" and name in values:
        yield f"{name}: not used by {source}=new; add --param {source}=existing"
    if values[source] == "existing" and name in values:
        region = values[name].split(":")[3]
        if region != parameters.region:
            yield (
                f"{name}: it is in {region}, the deployment in {parameters.region}; Lambda "
                f"reads from its own region: deploy with --region {region}"
            )


def _find_mapping_disagreements(parameters: Parameters) -> Iterator[str]:
    values = parameters.values
    if values["queue"] != "off":
        is_fifo = values["queue"] == "existing" and values.get("queue_arn", "").endswith(".fifo")
        is_large, window = int(values["batch_size"]) > MAX_WITHOUT_WINDOW, int(values["window"])
        if is_fifo and (is_large or window):
            yield "batch_size, window: too large for a FIFO queue; set batch_size=10 and window=0"
        elif is_large and not window:
            size = values["batch_size"]
            yield f"window: batch_size={size} needs a window; set window=1 or more"
        reserved, most = values.get("reserved_concurrency"), int(values["maximum_concurrency"])
        if reserved is not None and int(reserved) < most:
            yield (
                f"reserved_concurrency: {reserved} is below maximum_concurrency={most}, so "
                "messages are throttled into the dead letters; raise it"
            )
    margin = values.get("deadline_margin_s")
    if margin is not None and float(margin) >= int(values["timeout"]):
        yield f"deadline_margin_s: {margin} leaves no time of timeout={values['timeout']}; lower it"


def _find_bucket_disagreements(parameters: Parameters) -> Iterator[str]:
    values = parameters.values
    is_new = values["bucket_is"] == "new"
    ignored = [name for name in OF_NEW_BUCKETS if name in values]
    ignored += ["versioning"] if values["versioning"] != "Suspended" else []
    ignored += ["eventbridge"] if values["eventbridge"] != "off" else []
    for name in [] if is_new else ignored:
        yield f"{name}: an existing bucket is not changed; set it up there, and leave this out"
    if is_new and values.get("acl", "") not in {"", "bucket-owner-full-control"}:
        yield "acl: a new bucket has ACLs switched off; leave it out"
    if is_new and values.get("region", parameters.region) != parameters.region:
        yield f"region: a new bucket is in the stack's, {parameters.region}; leave it out"
    expire, quarantine = values.get("expire_days"), values.get("quarantine_days")
    if expire and quarantine and int(expire) < int(quarantine):
        yield (
            f"quarantine_days: expire_days={expire} deletes quarantined records before; "
            "raise expire_days"
        )
    if values.get("kms_key_id") and not (values.get("kms_key_arn") or values.get("role_arn")):
        yield "kms_key_id: the role may not use it; add --param kms_key_arn=arn:… of the same key"
