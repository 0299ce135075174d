"""Write once: decides what a delivery has to write, so that no object is ever replaced.

An event source may deliver the same records again, in whatever cut. Each object is named by its
first position, and has the list of its positions. What is in the list of an object that exists is
durable. Only what no object holds yet is written.

If all records of a delivery are durable, but the object that holds them goes on, an empty guard
object is written under the name of the next position. A later delivery that begins there then finds
the guard's list, and writes none of those records a second time.

The functions here decide and wait for nothing: `plan_writes` is a generator that yields steps and
is sent what became of them. `batcher.writing.object_writer` carries the steps out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias

from msgspec import Struct

from batcher.errors import RetryableError
from batcher.records.positions import position_order


class CreateObject(Struct, frozen=True):
    """Create the object of these records. The answer is whether its name was free."""

    positions: Sequence[str]
    is_continuation: bool = False
    """Whether its name gets a digest of the positions, because the name alone is taken."""


class Look(Struct, frozen=True):
    """Look at the object whose name was taken. The answer is an `ExistingObject`, or None."""

    first: str
    """The first position of the records that were to be written under the name."""


class ReadPositions(Struct, frozen=True):
    """Read the positions list of the object that was found. The answer is the list, or None."""

    first: str


class CreateGuard(Struct, frozen=True):
    """Create an empty object with this list. There is no answer: it exists afterwards."""

    positions: Sequence[str]
    of_first: str
    """The first position of the object that was found, which holds all of them."""


Step: TypeAlias = CreateObject | Look | ReadPositions | CreateGuard


class ExistingObject(Struct, frozen=True):
    """What the metadata of an object says."""

    digest: str
    """Of its positions. Empty if there is none."""
    records: int
    """Number of its records, or 0."""


Answer: TypeAlias = "bool | ExistingObject | Sequence[str] | None"


def plan_writes(
    positions: Sequence[str],
    digest_of: Callable[[Sequence[str]], str],
    *,
    is_stream: bool,
) -> Generator[Step, Answer, None]:
    """Yield the steps after which all records are durable. The clean path is one step.

    Args:
        positions: of one object, in the order of the event.
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
        existing = yield Look(rest[0])
        if existing is None:
            msg = f"the object that held the name of {rest[0]} is gone; retry the batch"
            raise RetryableError(msg)
        assert isinstance(existing, ExistingObject)  # noqa: S101  # the answer to this step
        if existing.digest == digest_of(rest):
            return  # our own earlier success
        held: Sequence[str] | None = None
        if is_stream:
            listed = yield ReadPositions(rest[0])
            held = _held_positions(rest, existing, listed, digest_of)
        known = frozenset(held or ())
        new = [position for position in rest if position not in known]
        if len(new) == len(rest):
            # It holds none of them, as far as is known: they are durable here, perhaps twice
            yield CreateObject(rest, is_continuation=True)
            return
        beyond = [] if new else _positions_after(held or (), rest)
        if beyond:
            yield CreateGuard(beyond, rest[0])
        rest = new


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
