"""The UE context: all that the MME knows of one UE, one row, one frozen value (TS 23.401 5.7.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from mme.enums import EcmState, EmmState, Owed, Step, TimerName
from mme.epoch import covers
from mme.ids import Ecgi, Guti, Imsi, Tai
from mme.needs import Profile, Session, Vector, session_id_of

SCHEMA = 5
"""Number of the shape below; `mme.upgrades` reads those of before."""
CONNECTION_BITS = 4
COUNT_ALMOST_USED_UP = (1 << 24) - 0x1000


@dataclass(frozen=True, slots=True)
class SecurityContext:
    """A native EPS security context (TS 33.401 6.3).

    ul_count: NAS COUNT expected next from the UE; dl_count: NAS COUNT of the next protected downlink (24 bits each).
    """

    ksi: int
    k_asme: bytes = field(repr=False)
    eea: int
    eia: int
    k_nas_enc: bytes = field(repr=False)
    k_nas_int: bytes = field(repr=False)
    ul_count: int = 0
    dl_count: int = 0

    @property
    def worn_out(self) -> bool:
        """A NAS COUNT is almost used up: a new key set is due (TS 33.401 6.5).  Null algorithms have no keys."""
        return self.eia != 0 and max(self.ul_count, self.dl_count) >= COUNT_ALMOST_USED_UP


@dataclass(frozen=True, slots=True)
class Connection:
    """One S1 connection of the UE.  epoch: the eNB's association.  releasing: RELEASE COMMAND was sent.

    order: number of the next downlink message on it, from 0, so that the eNB sees a gap.
    since: partial resets by its own ids alone that the eNB had asked for before.
    """

    mme_ue_s1ap_id: int
    enb: str
    epoch: str
    enb_ue_s1ap_id: int
    tai: Tai
    ecgi: Ecgi
    releasing: bool = False
    order: int = 0
    since: int = 0

    def on(self, enb: str, epoch: str) -> bool:
        """Whether it is on that eNB's association, after the resets that the epoch counts."""
        return self.enb == enb and covers(epoch, self.epoch)


@dataclass(frozen=True, slots=True)
class Attaching:
    """What the running attach remembers of its request, until ATTACH COMPLETE.

    digest: SHA-256 of the ATTACH REQUEST's octets (equal IEs = equal octets, 5.5.1.2.7 d/e).
    pti, pdn_type, access_point_name, pco: of the PDN CONNECTIVITY REQUEST inside.
    """

    digest: bytes
    attach_type: int
    pti: int
    request_type: int
    pdn_type: int
    esm_information_transfer_flag: bool
    access_point_name: str | None = None
    pco: bytes | None = None
    identity_was_imsi: bool = True
    identity_checked: bool = False


@dataclass(frozen=True, slots=True)
class Updating:
    """What the running tracking area update remembers: active flag, combined, whether the UE told its bearers.

    radio_capability_changed: it said so.
    """

    active: bool
    combined: bool = False
    status_told: bool = False
    radio_capability_changed: bool = False


@dataclass(frozen=True, slots=True)
class Bearer:
    """The default bearer.  enb_address: 4 octets, enb_teid: 32 bits, once the eNB has answered."""

    eps_bearer_identity: int
    access_point_name: str
    qci: int
    session: Session
    enb_address: bytes | None = None
    enb_teid: int | None = None


@dataclass(frozen=True, slots=True)
class RunningTimer:
    """token: id of the item that started it.  due_ms: Unix ms.  expiries: how often it has expired already.

    hurried: its message went out again since, because the eNB could not deliver it.
    """

    token: str
    due_ms: int
    expiries: int = 0
    hurried: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """An item that was worked off.  digest: 8 octets of its content's SHA-256.  at_ms: Unix ms."""

    id: str
    digest: bytes
    at_ms: int


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A downlink still to be pushed.  epoch: of the association that it is for.  downlink: its JSON as it goes out."""

    id: str
    enb: str
    epoch: str
    downlink: bytes


@dataclass(frozen=True)  # without slots: a changed copy of 40 fields is then one copy of a dictionary
class UeContext:
    """key: 28 bits.  origin: id of the item that made it.  generation: GUTIs given out, modulo 16.

    security: the current EPS security context; security_new: the one that SECURITY MODE COMMAND takes into use.
    owed: what the UE is told after SECURITY MODE COMPLETE; means nothing where no security mode control runs.
    proven: the identity was proven once, by SECURITY MODE COMPLETE.
    emergency: attached, or attaching, for emergency bearer services only; its imsi may be one that nobody has proven.
    ue_radio_capability: opaque; None = not known, or deleted.  paging_drx: the UE's own DRX cycle, "v32" to "v256".
    secured: secure exchange is established on this NAS signalling connection (TS 24.301 4.4.2.3).
    k_enb_count: uplink NAS COUNT that K_eNB is derived with (TS 33.401 A.3).
    old_guti: valid too, until the UE has taken the new one.  tai_list: where it is registered, and paged.
    reattach_required: of the network's detach that runs; detach_when_back: the same, of one that waits for paging.
    resynchronised: SQN was taken over from the UE in this authentication.
    supersedes: keys of older contexts of this IMSI, the latest first, still to be released.
    begun_ms: Unix ms at which the procedure that runs began, for the metrics; 0 = none runs, or it is not known.
    """

    key: int
    origin: str = ""
    schema: int = SCHEMA
    emm: EmmState = EmmState.DEREGISTERED
    step: Step = Step.NONE
    imsi: Imsi | None = None
    imeisv: str | None = None
    guti: Guti | None = None
    old_guti: Guti | None = None
    tai_list: tuple[Tai, ...] = ()
    generation: int = 0
    connections: tuple[Connection, ...] = ()
    next_connection: int = 0
    ue_network_capability: bytes = b""
    ms_network_capability: bytes | None = None
    ue_radio_capability: bytes | None = None
    paging_drx: str | None = None
    vector: Vector | None = None
    vector_ksi: int = 0
    resynchronised: bool = False
    security: SecurityContext | None = None
    security_new: SecurityContext | None = None
    owed: Owed | None = None
    secured: bool = False
    proven: bool = False
    emergency: bool = False
    k_enb_count: int = 0
    attaching: Attaching | None = None
    updating: Updating | None = None
    reattach_required: bool = False
    detach_when_back: bool | None = None
    profile: Profile | None = None
    bearer: Bearer | None = None
    timers: dict[str, RunningTimer] = field(default_factory=dict)
    waiting_for: str | None = None
    supersedes: tuple[int, ...] = ()
    recent: tuple[Remembered, ...] = ()
    last_reply: bytes = b""
    outbox: tuple[OutboxEntry, ...] = ()
    begun_ms: int = 0

    @property
    def connection(self) -> Connection | None:
        """The connection that the UE signals on, None = ECM-IDLE."""
        live = [c for c in self.connections if not c.releasing]
        return live[-1] if live else None

    @property
    def ecm(self) -> EcmState:
        """ECM state as far as this row shows it; an older association epoch of the eNB means ECM-IDLE all the same."""
        return EcmState.CONNECTED if self.connection else EcmState.IDLE

    @property
    def on_the_radio(self) -> bool:
        """Whether the eNB has its end of the bearer."""
        return self.bearer is not None and self.bearer.enb_teid is not None

    @property
    def being_set_up(self) -> bool:
        """Whether the eNB has not answered INITIAL CONTEXT SETUP REQUEST yet: its guard runs."""
        return TimerName.CONTEXT_SETUP.value in self.timers

    @property
    def for_signalling_only(self) -> bool:
        """Whether its connection carries no bearer, and none is being set up: nobody needs it after the signalling."""
        return not (self.on_the_radio or self.being_set_up)

    @property
    def worn_out(self) -> bool:
        """Whether a NAS COUNT is almost used up: a new key set is due (TS 33.401 6.5)."""
        return self.security is not None and self.security.worn_out

    @property
    def unauthenticated(self) -> bool:
        """Served without proof, under null algorithms: for emergency bearer services only (TS 33.401 15.2.2)."""
        return self.security is not None and self.security.eia == 0

    @property
    def admitted(self) -> bool:
        """Whether secure exchange was once established: the UE has proven who it is, or need not."""
        return self.proven or self.unauthenticated

    @property
    def stays_registered(self) -> bool:
        """Whether the UE is registered, whatever runs beside: all but an attach, a detach and what is not admitted."""
        under_way = (EmmState.REGISTERED, EmmState.COMMON_PROCEDURE_INITIATED)
        return self.admitted and self.attaching is None and self.emm in under_way

    def running(self, name: str, token: str) -> RunningTimer | None:
        """The timer of that name, if that item started it; None = a fired row of it is stale.

        When it is due is what this context says: two copies of an item may have written its row with two times.
        """
        timer = self.timers.get(name)
        return timer if timer is not None and timer.token == token else None

    def uses_session(self, need_id: str) -> bool:
        """Whether the session that this need asked for is this context's, or is waited for."""
        has = self.bearer is not None and self.bearer.session.session_id == session_id_of(need_id)
        return has or self.waiting_for == need_id

    def free_connection_number(self) -> int:
        """Number for a new connection: the next of 16 that is not listed."""
        used = {c.mme_ue_s1ap_id % (1 << CONNECTION_BITS) for c in self.connections}
        numbers = ((self.next_connection + n) % (1 << CONNECTION_BITS) for n in range(1 << CONNECTION_BITS))
        return next((number for number in numbers if number not in used), self.next_connection % (1 << CONNECTION_BITS))

    def listed(self, mme_ue_s1ap_id: int) -> Connection | None:
        """The connection with that id, also one being released; None = stale."""
        return next((c for c in self.connections if c.mme_ue_s1ap_id == mme_ue_s1ap_id), None)


def key_of(mme_ue_s1ap_id: int) -> int:
    """The context's key inside an MME-UE-S1AP-ID."""
    return mme_ue_s1ap_id >> CONNECTION_BITS
