"""Names of messages as people know them: "InitialUEMessage", "Attach Request"."""

from __future__ import annotations

import re
from functools import cache

from mme.messages import EmmMessage, EsmContainer, EsmMessage, S1apMessage

_S1AP_WORDS = re.compile(r"(Ue|Nas|Erab)(?=[A-Z]|$)")
_WORD = re.compile(r"[A-Z][a-z0-9]*")
_UPPER = {"Emm", "Esm", "Eps", "Pdn", "Guti"}


@cache
def of_s1ap_class(class_name: str) -> str:
    return _S1AP_WORDS.sub(lambda found: found[1].upper(), class_name)


@cache
def of_nas_class(class_name: str) -> str:
    words = _WORD.findall(class_name.removesuffix("FromUe").removesuffix("ToUe"))
    return " ".join(word.upper() if word in _UPPER else word for word in words)


def of_s1ap(message: S1apMessage) -> str:
    """The ASN.1's spelling, as Wireshark shows it."""
    return of_s1ap_class(type(message).__name__)


def of_nas(message: EmmMessage | EsmMessage) -> str:
    """The words of TS 24.301 clause 8; a stand-alone ESM message by its own name."""
    inner = message.esm if isinstance(message, EsmContainer) else message
    return of_nas_class(type(inner).__name__)
