"""Places outside the code that list settings agree with their declaration."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with cfn-lint; it has no types

from batcher.cli.options import describe_default
from batcher.settings import ENV_PREFIX, OneOf, Settings

ROOT = Path(__file__).resolve().parents[2]
FIELDS = {spec.name: spec for spec in fields(Settings)}
DEFAULTS = Settings(bucket="my-bucket")
DEPLOYED_OTHERWISE = {"bucket", "root", "engine"}
"""The template sets these from parameters of other names, or from the package."""
DEPLOYED_DEFAULTS = {"partial_response": "true"}
"""Parameters of the template whose default differs from the setting's, on purpose."""


def template() -> dict[str, Any]:
    """Return `serverless.yml`."""
    found: dict[str, Any] = yaml.safe_load(ROOT.joinpath("serverless.yml").read_text())
    return found


def test_defaults_that_help_describes_are_true() -> None:
    """Those that follow from other settings are described by hand."""
    for name, spec in FIELDS.items():
        described = describe_default(spec)
        if name == "bucket" or not described:
            continue
        value = spec.metadata["parse"](described.partition(",")[0].partition(";")[0])
        assert value == getattr(DEFAULTS, name), name


def test_the_template_has_a_parameter_for_every_setting() -> None:
    parameters = template()["params"]["default"]
    for name in FIELDS.keys() - DEPLOYED_OTHERWISE:
        assert parameters[name] == DEPLOYED_DEFAULTS.get(name), name


def test_the_template_passes_every_setting_on() -> None:
    """`root` differs by function, so the functions have it."""
    variables: dict[str, str] = template()["provider"]["environment"]
    assert variables.keys() == {ENV_PREFIX + name.upper() for name in FIELDS.keys() - {"root"}}
    for name in FIELDS.keys() - DEPLOYED_OTHERWISE:
        assert variables[ENV_PREFIX + name.upper()].startswith(f"${{param:{name}"), name


def test_variables_that_documents_name_are_settings() -> None:
    paths = [ROOT / "README.md", ROOT / "serverless.yml", *ROOT.rglob("docs/*.md")]
    paths += [path for suffix in ("yml", "js", "py") for path in ROOT.glob(f"deploy/*.{suffix}")]
    known = {ENV_PREFIX + name.upper() for name in FIELDS}
    for path in paths:
        named = set(re.findall(rf"\b{ENV_PREFIX}[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
        assert named <= known, path


def test_the_command_that_packages_knows_the_engines() -> None:
    from target import ENGINES  # noqa: PLC0415  # of deploy/, which is no package

    check = FIELDS["engine"].metadata["check"]
    assert isinstance(check, OneOf)
    assert set(ENGINES) == set(check.choices)
