"""How the stub misbehaves: a value, decided per subscriber and need."""

from __future__ import annotations

import hashlib
import random
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from mme.needs import DeleteSession, ModifySession, Need, NeedProfile, NeedSession, NeedVector, Refusal

_SESSIONS: Final = 100_000
_REFUSERS: Final = {
    Refusal.UNKNOWN_SUBSCRIBER: (NeedVector, NeedProfile),
    Refusal.NOT_ALLOWED: (NeedVector, NeedProfile),
    Refusal.RESYNC_FAILED: (NeedVector,),
    Refusal.UNREACHABLE: (NeedVector, NeedProfile, NeedSession),
    Refusal.UNKNOWN_APN: (NeedSession,),
    Refusal.NO_RESOURCES: (NeedSession,),
    Refusal.REJECTED: (NeedSession,),
}


def in_share(salt: str, subject: str, share: float) -> bool:
    """True for that share (0 to 1) of subjects, the same ones each time."""
    digest = hashlib.sha256(f"{salt}\n{subject}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass
class Behaviour:
    """Delay and refusal go by a hash of the IMSI, so that all needs of one UE fare alike; loss goes by chance.

    delay_share, loss, refuse_share: 0 to 1.  refuse: only the needs that can be refused so.  seed: of the losses.
    """

    delay_ms: int = 0
    delay_share: float = 1.0
    loss: float = 0.0
    refuse: Refusal | None = None
    refuse_share: float = 1.0
    seed: int | None = None
    _random: random.Random = field(init=False, repr=False)
    _imsi_of_session: OrderedDict[str, str] = field(init=False, repr=False, default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def delay_of(self, need: Need) -> int:
        """Milliseconds until the answer to that need."""
        return self.delay_ms if in_share("delay", self._subject(need), self.delay_share) else 0

    def loses(self) -> bool:
        """True: this request is lost; a repetition may not be."""
        return self._random.random() < self.loss

    def refusal_of(self, need: Need) -> Refusal | None:
        """The reason to refuse that need with."""
        if self.refuse is None or not isinstance(need, _REFUSERS[self.refuse]):
            return None
        return self.refuse if in_share("refuse", self._subject(need), self.refuse_share) else None

    def remember(self, session_id: str, need: NeedSession) -> None:
        """Whose session it is: later needs about it name no IMSI."""
        self._imsi_of_session[session_id] = self._subject(need)
        if len(self._imsi_of_session) > _SESSIONS:
            self._imsi_of_session.popitem(last=False)

    def _subject(self, need: Need) -> str:
        match need:
            case NeedVector() | NeedProfile():
                return need.imsi.digits
            case NeedSession():
                return need.imsi.digits if need.imsi is not None else need.imei or need.id
            case ModifySession() | DeleteSession():
                return self._imsi_of_session.get(need.session_id, need.session_id)
            case _:
                return need.id
