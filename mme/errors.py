"""The error tree.  The class says whose fault it is, the attributes say what to answer.

MmeError
├── PeerError            bad bytes or a bad sequence from an eNB or a UE; answered on the wire
│   ├── S1apError        cause: the S1AP cause of the ERROR INDICATION
│   └── NasError         cause: the EMM (or ESM) cause of a status message; discard: True = silently (TS 24.301 7)
├── StoreError
│   ├── StoreUnavailableError nothing was tried: 503
│   │   └── NewerRowError     a newer program wrote the row
│   └── StoreContendedError   conflicts beyond the bound: result `retry`
└── ClockOffError        this machine's clock is off from the store's: no lease
EnvelopeError (the HTTP request is refused whole) and ConfigError (at start: exit 1) are trust.errors'.
Anything else is a fault of ours: 500, stack trace, alert.
"""

from __future__ import annotations

from mme.enums import EmmCause, S1apCause
from trust.errors import ConfigError as ConfigError  # noqa: PLC0414
from trust.errors import EnvelopeError as EnvelopeError  # noqa: PLC0414


class MmeError(Exception):
    """Base of all errors that this package raises on purpose."""


class PeerError(MmeError):
    """An eNB or a UE sent what it must not send."""


class S1apError(PeerError):
    """An S1AP PDU that cannot be taken further.

    procedure_code, triggering_message ("initiating-message", "successful-outcome", "unsuccessfull-outcome") and the UE
    ids are None where the bytes did not show them (TS 36.413 10.2, 10.3).
    missing_ies: ids of mandatory IEs that are absent, for the criticality diagnostics.
    """

    def __init__(
        self,
        cause: S1apCause,
        detail: str,
        *,
        procedure_code: int | None = None,
        triggering_message: str | None = None,
        mme_ue_s1ap_id: int | None = None,
        enb_ue_s1ap_id: int | None = None,
        missing_ies: tuple[int, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail
        self.procedure_code = procedure_code
        self.triggering_message = triggering_message
        self.mme_ue_s1ap_id = mme_ue_s1ap_id
        self.enb_ue_s1ap_id = enb_ue_s1ap_id
        self.missing_ies = missing_ies


class NasError(PeerError):
    """NAS octets that cannot be taken further.

    cause: 96, 97, 99, 100 or 111 (TS 24.301 7.4 to 7.7).  None: shorter than a header, ignored (7.2).
    message_type: the octet, where there was one.
    """

    def __init__(self, cause: EmmCause | None, detail: str, message_type: int | None = None) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail
        self.message_type = message_type


class StoreError(MmeError):
    """The store could not do what was asked."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached, or answered too late, on a read: nothing was changed."""


class StoreNotMigratedError(StoreUnavailableError):
    """The store answers, and lacks tables that this program needs: `edge store migrate` makes them."""


class NewerRowError(StoreUnavailableError):
    """A row is of a newer schema than this program knows: left alone, until this program is newer, too."""


class StoreContendedError(StoreError):
    """More conflicts than the bound allows."""


class ClockOffError(MmeError):
    """This machine's clock and the store's differ by more than the bound.  offset_ms: how far this one is ahead."""

    def __init__(self, offset_ms: int, bound_ms: int) -> None:
        way = "ahead of" if offset_ms > 0 else "behind"
        super().__init__(
            f"this machine's clock is {abs(offset_ms)} ms {way} the store's, more than the {bound_ms} ms of "
            "clock_bound_ms: synchronise the clocks of this machine and of the store's (NTP, chrony); "
            "no timer is fired from here until then"
        )
        self.offset_ms = offset_ms
