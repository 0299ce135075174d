"""Write once: decides what a delivery has to write, so that no object is ever replaced.

An event source may deliver the same records again, in whatever cut. Each object is named by its
first position, and has the list of its positions. What is in the list of an object that exists is
durable. Only what no object holds yet is written.

If all records of a delivery are durable, but the object that holds them goes on, an empty guard
object is written under the name of the next position. A later delivery that begins there then finds
the guard's list, and writes none of those records a second time.

Positions are full positions here (`batcher.records.position`). Where numbers are not unique, the
object that has a name may begin with another record of that number. What is to be written then
continues under the name with the fingerprint of its own first record, by the same rule.

The functions here decide and wait for nothing: `plan_writes` is a generator that yields steps and
is sent what became of them. `batcher.writing.object_writer` carries the steps out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias

from msgspec import Struct

from batcher.errors import RetryableError
from batcher.keys.names import CONTINUATION_DIGITS
from batcher.records.position import fingerprint_of
from batcher.records.positions import position_order


class CreateObject(Struct, frozen=True):
    """Create the object of these records. The answer is whether its name was free."""

    positions: Sequence[str]
    suffix: str = ""
    """Digits that its name gets in addition, because the name alone is taken by other records."""
    is_unknown: bool = False
    """Whether the object that has the name may hold these records, too."""


class Look(Struct, frozen=True):
    """Look at the object whose name was taken. The answer is an `ExistingObject`, or None."""

    first: str
    """The first position of the records that were to be written under the name."""
    suffix: str = ""
    """See `CreateObject`."""


class ReadPositions(Struct, frozen=True):
    """Read the positions list of the object that was found. The answer is the list, or None."""

    first: str
    suffix: str = ""


class CreateGuard(Struct, frozen=True):
    """Create an empty object with this list. The answer is whether its name was free."""

    positions: Sequence[str]
    of_first: str
    """The first position of the object that was found, which holds all of them."""
    suffix: str = ""
    """See `CreateObject`."""


Step: TypeAlias = CreateObject | Look | ReadPositions | CreateGuard


class ExistingObject(Struct, frozen=True):
    """What the metadata of an object says."""

    digest: str
    """Of its positions. Empty if there is none."""
    records: int
    """Number of its records, or 0."""
    fingerprint: str = ""
    """Of its first record. Empty if there is none, as in objects of earlier versions."""


Answer: TypeAlias = "bool | ExistingObject | Sequence[str] | None"


def plan_writes(
    positions: Sequence[str],
    digest_of: Callable[[Sequence[str]], str],
    *,
    is_stream: bool,
) -> Generator[Step, Answer, None]:
    """Yield the steps after which all records are durable. The clean path is one step.

    Args:
        positions: full positions of one object, in the order of the event.
        digest_of: returns the digest of positions, as objects have it in their metadata.
        is_stream: whether names follow the first position, so that another cut of the same records
            can meet them. Else they follow all records.

    Raises:
        RetryableError: the object that held the name is gone.
    """
    rest = positions
    while rest:
        if (yield CreateObject(rest)):
            return
        existing = yield from _look(rest[0])
        suffix = fingerprint_of(rest[0]) if is_stream else ""
        if suffix == existing.fingerprint:
            suffix = ""
        else:  # it begins with another record of this number, or does not say with which
            is_unknown = not existing.fingerprint
            if (yield CreateObject(rest, suffix, is_unknown=is_unknown)):
                return
            existing = yield from _look(rest[0], suffix)
        digest = digest_of(rest)
        if existing.digest == digest:
            return  # our own earlier success
        held: Sequence[str] | None = None
        if is_stream:
            listed = yield ReadPositions(rest[0], suffix)
            held = _held_positions(rest, existing, listed, digest_of)
        known = frozenset(held or ())
        new = [position for position in rest if position not in known]
        if len(new) == len(rest):
            # It holds none of them, as far as is known: they are durable here, perhaps twice
            yield CreateObject(rest, digest[:CONTINUATION_DIGITS], is_unknown=True)
            return
        beyond = [] if new else _positions_after(held or (), rest)
        if beyond:
            yield from _create_guard(beyond, rest[0])
        rest = new


def _look(first: str, suffix: str = "") -> Generator[Step, Answer, ExistingObject]:
    """Look at the object that has a name.

    Raises:
        RetryableError: there is none any more.
    """
    existing = yield Look(first, suffix)
    if existing is None:
        msg = f"the object that held the name of {first} is gone; retry the batch"
        raise RetryableError(msg)
    assert isinstance(existing, ExistingObject)  # noqa: S101  # the answer to this step
    return existing


def _create_guard(positions: Sequence[str], of_first: str) -> Generator[Step, Answer, None]:
    """Create a guard where a delivery that begins with its first record looks for it.

    If an object that begins with that very record has the name, no guard is needed.
    """
    first = positions[0]
    suffix = fingerprint_of(first)
    if (yield CreateGuard(positions, of_first)) or not suffix:
        return
    existing = yield from _look(first)
    if existing.fingerprint != suffix:
        yield CreateGuard(positions, of_first, suffix)


def _held_positions(
    rest: Sequence[str],
    existing: ExistingObject,
    listed: Answer,
    digest_of: Callable[[Sequence[str]], str],
) -> Sequence[str] | None:
    """Return the positions that an object holds, or None if they are unknown.

    A list counts only if it fits the object's digest. An object without list, of an earlier
    version, is known if it holds the start of `rest`.
    """
    if isinstance(listed, Sequence) and digest_of(listed) == existing.digest:
        return listed
    start = rest[: existing.records]
    return start if start and digest_of(start) == existing.digest else None


def _positions_after(listed: Sequence[str], positions: Sequence[str]) -> list[str]:
    """Return the positions of a list that are larger than all of `positions`."""
    last = max(map(position_order, positions))
    return [position for position in listed if position_order(position) > last]
