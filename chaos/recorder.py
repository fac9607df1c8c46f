"""The recorder: sits beside UEs and eNBs of the simulator and writes down what passes."""

from __future__ import annotations

from collections.abc import Callable

from chaos import wire
from chaos.history import Answered, Challenged, Event, Named, Nas, Opened, Refused, takes_in
from enb_app import names
from enb_app.device import Connection, Device
from enb_app.effects import NasReceived, SendNas, UeEffect
from enb_app.journal import Journal, Sent
from enb_app.lab import Lab
from enb_app.profile import Profile
from enb_app.station import Station
from enb_app.ue import Ue
from enb_app.usim import Subscriber, Usim
from mme.codec import s1ap
from mme.codec.envelope import Downlink
from mme.enums import Direction
from mme.errors import S1apError
from mme.ids import Guti
from mme.messages import (
    AttachAccept,
    AttachReject,
    AuthenticationRequest,
    EmmMessage,
    GutiReallocationCommand,
    InitialContextSetupRequest,
    ServiceReject,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateReject,
)

_MOST_UNIDENTIFIED = 64


class Recorder:
    """events: so far, in the order of their writing.  clock: seconds, of any origin."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.events: list[Event] = []
        self._clock = clock
        self._origin = clock()

    def now(self) -> float:
        """Milliseconds since the run began."""
        return round((self._clock() - self._origin) * 1000, 1)

    def write(self, event: Event) -> None:
        self.events.append(event)


class WatchedJournal(Journal):
    """Notes how each uplink message was answered.  taken_in: how many of its attaches the MME has taken in."""

    def __init__(self, recorder: Recorder, ue: int) -> None:
        super().__init__()
        self._recorder = recorder
        self._ue = ue
        self.taken_in = 0

    def write(self, entry: object) -> None:
        if isinstance(entry, Sent):
            answered = Answered(self._recorder.now(), self._ue, entry.name, entry.result)
            self._recorder.write(answered)
            self.taken_in += takes_in(answered)
        super().write(entry)


class WatchedDevice(Device):
    """number: of the UE, from 1."""

    journal: WatchedJournal

    def __init__(self, ue: Ue, station: Station, number: int, recorder: Recorder) -> None:
        super().__init__(ue, station)
        self.number = number
        self.journal = WatchedJournal(recorder, number)
        self._recorder = recorder
        self._keys: dict[str, wire.Key] = {}
        self._unidentified: list[tuple[float, bytes, Direction]] = []

    def perform(self, effects: list[UeEffect]) -> None:
        for effect in effects:
            if isinstance(effect, SendNas) and effect.protected:
                self.overhear(effect.octets, Direction.UPLINK)
            elif isinstance(effect, NasReceived) and effect.message is not None:
                self._take_in(effect.message)
        super().perform(effects)

    def open(self) -> Connection:
        connection = super().open()
        self._recorder.write(Opened(self._recorder.now(), self.number, connection.run))
        return connection

    def overhear(self, octets: bytes, way: Direction) -> None:
        """A NAS message on the wire; one under a key that is not known yet waits until it is."""
        security = self.ue.security
        if security is not None and (name := wire.name_of(security.k_asme)) not in self._keys:
            self._keys[name] = wire.Key(security)
            waiting, self._unidentified = self._unidentified, []
            for at_ms, earlier, its_way in waiting:
                self._identify(at_ms, earlier, its_way)
        self._identify(self._recorder.now(), octets, way)

    def _identify(self, at_ms: float, octets: bytes, way: Direction) -> None:
        for key in reversed(self._keys.values()):
            count = key.count_of(octets, way)
            if count is not None:
                told = "up" if way is Direction.UPLINK else "down"
                self._recorder.write(Nas(at_ms, self.number, told, key.name, count, wire.digest(octets)))
                return
        self._unidentified.append((at_ms, octets, way))
        del self._unidentified[:-_MOST_UNIDENTIFIED]

    def _take_in(self, message: EmmMessage) -> None:
        now, number = self._recorder.now(), self.number
        match message:
            case AuthenticationRequest():
                sqn = wire.sqn_of(self.ue.usim.card, message.rand, message.autn)
                over = self.connection.run if self.connection is not None else ""
                octets = wire.digest(message.rand + message.autn)
                self._recorder.write(Challenged(now, number, over, sqn, octets))
            case AttachAccept() | TrackingAreaUpdateAccept() | GutiReallocationCommand():
                if message.guti is None or message.guti == self.ue.guti:  # else it came too late to be taken
                    address = self.address() if isinstance(message, AttachAccept) else ""
                    self._recorder.write(Named(now, number, guti_text(self.ue.guti), address))
            case AttachReject() | ServiceReject() | TrackingAreaUpdateReject():
                self._recorder.write(Refused(now, number, names.of_nas(message), int(message.cause)))

    def address(self) -> str:
        """Of its default bearer; "" = none."""
        bearer = self.ue.bearer
        octets = bearer.pdn_address.ipv4 if bearer is not None else None
        return ".".join(str(octet) for octet in octets) if octets is not None else ""


def guti_text(guti: Guti | None) -> str:
    """GUMMEI and M-TMSI; "" = none."""
    if guti is None:
        return ""
    gummei = guti.gummei
    return f"{gummei.plmn.digits}-{gummei.mme_group_id:04x}-{gummei.mme_code:02x}-{guti.m_tmsi:08x}"


class WatchedLab(Lab):
    """A lab whose devices are watched, and every downlink with them, also one that no UE takes in any more."""

    recorder: Recorder
    _of_connection: dict[tuple[str, int], WatchedDevice]

    def watch(self, recorder: Recorder) -> None:
        """Before any device is made."""
        self.recorder = recorder
        self._of_connection = {}

    def device(self, subscriber: Subscriber, station: Station, profile: Profile) -> WatchedDevice:
        made = WatchedDevice(Ue(Usim(subscriber), profile), station, len(self.devices) + 1, self.recorder)
        self.devices.append(made)
        return made

    def on_downlink(self, downlink: Downlink) -> None:
        device = self._addressed(downlink)
        super().on_downlink(downlink)
        if device is None:
            return
        for octets in _nas_in(downlink.s1ap):
            if octets[0] >> 4:
                device.overhear(octets, Direction.DOWNLINK)

    def _addressed(self, downlink: Downlink) -> WatchedDevice | None:
        """By the connection that it is for; a connection that was released is remembered."""
        if downlink.ue is None:
            return None
        name = downlink.enb, downlink.ue
        station = self._by_name.get(downlink.enb)
        connection = station.connections.get(downlink.ue) if station is not None else None
        if connection is not None and isinstance(connection.device, WatchedDevice):
            self._of_connection[name] = connection.device
        return self._of_connection.get(name)


def _nas_in(octets: bytes) -> list[bytes]:
    try:
        message = s1ap.decode(octets)
    except S1apError:
        return []
    if isinstance(message, InitialContextSetupRequest):
        found: list[object] = [e_rab.nas_pdu for e_rab in message.e_rabs]
    else:
        found = [getattr(message, "nas_pdu", None)]
    return [pdu for pdu in found if isinstance(pdu, bytes) and pdu]
