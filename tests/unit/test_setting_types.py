"""The types that type checkers see are those of the settings: nothing else keeps them in step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from batcher.settings import OneOf, Settings
from batcher.settings import types as setting_types
from batcher.settings.types import SettingsOptions, SettingsOverrides

FIELDS: dict[str, Field[Any]] = {spec.name: spec for spec in fields(Settings)}
ATTRIBUTES = get_type_hints(Settings, localns=vars(setting_types))
ACCEPTED = get_type_hints(SettingsOverrides)

ACCEPTED_BY_PARSER: dict[str, object] = {
    "_parse_text": str,
    "_parse_root": str,
    "_parse_whole": int | str,
    "_parse_whole_or_none": int | str | None,
    "_parse_number": float | str,
    "_parse_boolean": bool | str,
    "_parse_text_map": Mapping[str, str] | str,
    "parse_size": int | str,
}
"""What each parser takes. `_parse_number` takes an int as well, as a float does for checkers."""


def test_both_declarations_have_the_same_settings_in_the_same_order() -> None:
    options = list(get_type_hints(SettingsOptions))
    assert options == [name for name in FIELDS if name != "bucket"]
    assert set(ACCEPTED) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_accepts_what_its_parser_takes(name: str) -> None:
    """Of a choice exactly its values."""
    metadata = FIELDS[name].metadata
    if isinstance(metadata["check"], OneOf):
        assert get_origin(ACCEPTED[name]) is Literal
        assert get_args(ACCEPTED[name]) == metadata["check"].choices
    else:
        assert ACCEPTED[name] == ACCEPTED_BY_PARSER[metadata["parse"].__name__]


@pytest.mark.parametrize("name", FIELDS)
def test_an_attribute_has_the_type_that_its_parser_returns(name: str) -> None:
    metadata = FIELDS[name].metadata
    if isinstance(metadata["check"], OneOf):
        assert ATTRIBUTES[name] == ACCEPTED[name]
        return
    returned = get_type_hints(metadata["parse"])["return"]
    read_only = {dict[str, str]: Mapping[str, str]}  # nobody may change a map of frozen settings
    assert ATTRIBUTES[name] == read_only.get(returned, returned)


@pytest.mark.parametrize("name", FIELDS)
def test_each_type_that_is_accepted_can_be_parsed(name: str) -> None:
    """Text that no parser takes is refused, whatever the type says."""
    if isinstance(FIELDS[name].metadata["check"], OneOf):
        values: list[Any] = list(get_args(ACCEPTED[name]))
    else:
        kinds = get_args(ACCEPTED[name]) or (ACCEPTED[name],)
        examples = {int: 3, float: 0.5, bool: True, type(None): None, Mapping[str, str]: {"a": "b"}}
        texts = {"_parse_text_map": "{}", "_parse_boolean": "yes", "parse_size": "3KiB"}
        text = texts.get(FIELDS[name].metadata["parse"].__name__, "3")
        values = [text if kind is str else examples[kind] for kind in kinds]
    for value in values:
        if value is None:
            assert FIELDS[name].default is None
        else:
            assert FIELDS[name].metadata["parse"](value) is not None
