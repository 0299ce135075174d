"""Partitions: no template and no field takes a record out of the place that is its own."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.strategies import ODD, odd_values, templates
from fuzz.targets import check_partition, check_value
from property.strategies import field_values

FIELDS = odd_values | field_values
RECORDS = st.lists(
    st.fixed_dictionaries({"f": FIELDS}, optional={"g": st.fixed_dictionaries({"h": FIELDS})}),
    min_size=1,
    max_size=4,
)
SHORT = st.text(max_size=14) | st.integers(-(2**80), 2**80) | st.booleans()


@given(templates, st.sampled_from([1, 1, 2, 16, 65_536]), RECORDS, st.text(max_size=8))
@settings(max_examples=300)
def test_no_template_and_no_field_leaves_its_key_space(
    template: str, fanout: int, records: list[dict[str, Any]], root: str
) -> None:
    """Under the root, behind the salt, within 1,024 bytes; or the template is refused."""
    check_partition(template, fanout, root, records)


@given(st.sampled_from(["f={field:f}", "{field:f}", "x/{field:f}.y"]), RECORDS)
def test_every_good_record_has_one_partition(template: str, records: list[dict[str, Any]]) -> None:
    """In any company it is the one that it has alone."""
    together = check_partition(template, 16, "", records)
    for partition, indices in together.items():
        for index in indices:
            assert check_partition(template, 16, "", [records[index]]) == {partition: [0]}


def test_odd_values_are_escaped_or_have_no_name_of_their_own() -> None:
    """Each of them, whatever the random ones are."""
    for value in ODD:
        check_value(value)


@given(odd_values)
def test_a_value_is_escaped_as_readers_read_it_back(value: object) -> None:
    """Safe characters only, at most 128 bytes."""
    check_value(value)


@given(st.lists(SHORT, min_size=2, max_size=5, unique_by=str))
def test_short_values_that_differ_have_partitions_that_differ(values: list[object]) -> None:
    """As long as no digest is needed; but for those that have no name of their own."""
    texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    named = [
        (value, text)
        for value, text in zip(values, texts, strict=True)
        if text not in {"", ".", ".."} and text.encode("utf-8", "replace").decode() == text
    ]
    found = check_partition("f={field:f}", 16, "", [{"f": value} for value, _ in named])
    assert len(found) == len({text for _, text in named})
