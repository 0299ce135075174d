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
PROSE = {"required": "", "empty": "", "none": None, "false": False}
"""How the README writes defaults that are no text or number."""


def readme_rows() -> list[tuple[list[str], str]]:
    """Return the names and the text of the defaults of each row of the table of settings."""
    text = ROOT.joinpath("README.md").read_text()
    table = text.partition("| name | default | meaning |\n")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[1:]]
    return [(re.findall(r"`(\w+)`", names), default.strip()) for names, default in rows]


def template() -> dict[str, Any]:
    """Return `serverless.yml`."""
    found: dict[str, Any] = yaml.safe_load(ROOT.joinpath("serverless.yml").read_text())
    return found


def test_the_readme_lists_every_setting_once() -> None:
    names = [name for row, _ in readme_rows() for name in row]
    assert sorted(names) == sorted(FIELDS)


def test_the_readme_has_the_defaults() -> None:
    """The last row is about settings that are passed to S3: their defaults are empty."""
    *rows, (passed_on, _) = readme_rows()
    assert all(not getattr(DEFAULTS, name) for name in passed_on)
    for names, text in rows:
        texts = text.partition(";")[0].split(", ")
        assert len(texts) == len(names), f"one default each for {names}"
        for name, shown in zip(names, texts, strict=True):
            plain = shown.strip("`")
            expected = "" if name == "bucket" else getattr(DEFAULTS, name)
            value = PROSE[plain] if plain in PROSE else FIELDS[name].metadata["parse"](plain)
            assert value == expected, name


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
