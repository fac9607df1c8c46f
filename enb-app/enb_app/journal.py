"""What happened to a UE or an eNB, in order; a script waits for entries and says what came instead."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, TypeVar, cast

from enb_app import names
from enb_app.effects import Ended
from mme.enums import S1apCause
from mme.messages import Cause, EmmMessage, EsmContainer, EsmMessage, S1apMessage

Kind = TypeVar("Kind")


class UnexpectedError(Exception):
    """A script found something else than it expected; both in a few words."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(f"expected {expected}, came {came}")
        self.expected = expected
        self.came = came


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """An uplink, once it is answered.  result: of the MME, or "lost"."""

    name: str
    result: str
    label: str


def described(entry: object) -> str:
    """A message or event in a few words: its name, and its cause where it has one."""
    match entry:
        case EsmContainer(esm=inner) | (EsmMessage() as inner):
            name = names.of_nas(inner)
        case EmmMessage():
            name = names.of_nas(entry)
        case S1apMessage():
            name = names.of_s1ap(entry)
        case Ended():
            return f"end ({entry.cause})"
        case _:
            return type(entry).__name__
    cause = getattr(entry.esm if isinstance(entry, EsmContainer) else entry, "cause", None)
    if isinstance(cause, Cause):
        return f"{name} ({cause.value})"
    return f"{name} #{int(cause)}" if cause is not None else name


def fits(entry: object, kind: type, fields: dict[str, Any]) -> bool:
    """Whether an entry is of that kind and its fields have these values; a stand-alone ESM message counts as itself."""
    if isinstance(entry, EsmContainer) and not issubclass(kind, EsmContainer):
        entry = entry.esm
    if not isinstance(entry, kind):
        return False
    return all(_equal(getattr(entry, name), value) for name, value in fields.items())


def _equal(found: object, wanted: object) -> bool:
    if isinstance(wanted, S1apCause):
        return isinstance(found, Cause) and (found.group, found.value) == wanted.value
    return bool(found == wanted)


def wanted(kind: type, fields: dict[str, Any]) -> str:
    """What a script expects, in a few words."""
    name = kind.__name__
    if issubclass(kind, S1apMessage):
        name = names.of_s1ap_class(name)
    elif issubclass(kind, EmmMessage | EsmMessage):
        name = names.of_nas_class(name)
    told = [f"{field} {_short(value)}" for field, value in fields.items()]
    return f"{name} ({', '.join(told)})" if told else name


def _short(value: object) -> str:
    if isinstance(value, S1apCause):
        return value.value[1]
    if isinstance(value, int) and not isinstance(value, bool):
        return f"#{int(value)}"
    return str(value) if not dataclasses.is_dataclass(value) else type(value).__name__


class Journal:
    """Entries in the order in which they happened.  read: how many of them a script has seen."""

    def __init__(self) -> None:
        self.entries: list[object] = []
        self.read = 0
        self._bell = asyncio.Event()

    def write(self, entry: object) -> None:
        self.entries.append(entry)
        self.ring()

    def ring(self) -> None:
        """Something has changed that somebody may wait for."""
        self._bell.set()

    async def changed(self) -> None:
        """Return when the bell has rung since the last time."""
        await self._bell.wait()
        self._bell.clear()

    def skip(self) -> None:
        """What came so far was seen."""
        self.read = len(self.entries)

    def find(self, kind: type[Kind], fields: dict[str, Any]) -> Kind | None:
        """The first unread entry that fits; what came before it counts as read."""
        for at in range(self.read, len(self.entries)):
            entry = self.entries[at]
            if fits(entry, kind, fields):
                self.read = at + 1
                alone = isinstance(entry, EsmContainer) and not issubclass(kind, EsmContainer)
                found: Any = entry.esm if alone and isinstance(entry, EsmContainer) else entry
                return cast("Kind", found)
        return None

    async def expect(self, kind: type[Kind], within: float, **fields: Any) -> Kind:
        """Wait for an entry.  Raises UnexpectedError that says what came."""
        try:
            async with asyncio.timeout(within):
                while (found := self.find(kind, fields)) is None:
                    await self.changed()
        except TimeoutError:
            raise UnexpectedError(wanted(kind, fields), self.unread() or f"nothing within {within:g} s") from None
        return found

    def unread(self) -> str:
        """What came and was not waited for."""
        unread = (entry for entry in self.entries[self.read :] if not isinstance(entry, Sent))
        return ", then ".join(described(entry) for entry in unread)
