"""Patterns of names: the state machine agrees with the definition, name by name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from batcher.cli.inputs.name_pattern import NamePattern

NAMES = st.lists(st.sampled_from(["a", "b", "ab", ".a", "_b", ""]), min_size=1, max_size=5)
PARTS = st.lists(st.sampled_from(["a", "*", "?", "a*", "[ab]", "_*", ".a", "**"]), max_size=4)


def is_hidden(name: str) -> bool:
    """Return whether no wildcard matches a name."""
    return name.startswith((".", "_"))


def is_match(parts: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether a path matches, by the definition."""
    if not parts:
        return not any(map(is_hidden, names))
    if parts[0] == "**":
        further = bool(names) and not is_hidden(names[0]) and is_match(parts, names[1:])
        return is_match(parts[1:], names) or further
    if not names or not fnmatchcase(names[0], parts[0]):
        return False
    if is_hidden(names[0]) and parts[0][0] != names[0][0]:
        return False
    return is_match(parts[1:], names[1:])


@given(parts=PARTS, names=NAMES)
def test_a_pattern_matches_what_its_definition_says(parts: list[str], names: list[str]) -> None:
    pattern = NamePattern(parts)
    state, is_left_out = pattern.start, False
    for name in names:
        state, is_hidden_here = pattern.step(state, name)
        is_left_out |= is_hidden_here
    assert pattern.is_match(state) == is_match(parts, names)
    assert not (is_left_out and state)


@given(parts=PARTS, names=NAMES)
def test_a_name_counts_as_hidden_if_only_that_keeps_it_from_matching(
    parts: list[str], names: list[str]
) -> None:
    """Its visible namesake leads on."""
    pattern = NamePattern(parts)
    state = pattern.start
    for name in names:
        following, is_hidden_here = pattern.step(state, name)
        if is_hidden_here:
            assert is_hidden(name)
            assert not following
        elif not following:
            assert not any(
                part == "**" or fnmatchcase(name, part)
                for index, part in enumerate(parts)
                if index in state
            )
        state = following
