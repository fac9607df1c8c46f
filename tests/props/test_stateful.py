"""UEs that attach, err, repeat, fall silent, reorder, leave and come back, against what must hold whatever they do.

Runs are derandomized; a failure prints the steps as a short program, and the seed.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from enb_app.ue import Profile, State
from enb_app.usim import Subscriber, Usim
from mme.enums import EmmState, TimerName
from mme.store.base import Table
from mme.store.faulty import Applied, FaultConflict, FaultUnavailable, FaultUnknown, on_load, on_save
from tests.mme.runtime.pair import PLMN, Exchange, Network, Talk, assert_no_count_used_twice

UES = 3
ue_numbers = st.integers(0, UES - 1)


class Ues(RuleBasedStateMachine):
    """The model: each UE's talks, the last sequence number seen, and whether anything of a talk was lost."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.network = Network(self.folder, seed=7)
        self.imsis = [f"00101000000700{n}" for n in range(UES)]
        self.sims: list[Subscriber] = [self.network.subscribe(imsi) for imsi in self.imsis]
        self.usims = [Usim(sim) for sim in self.sims]
        self.talks: list[list[Talk]] = [[] for _ in range(UES)]
        self.last: dict[Talk, Exchange] = {}
        self.lossy: set[Talk] = set()
        self.sqns = [self.network.sqn(imsi) for imsi in self.imsis]
        self.vectors: set[bytes] = set()
        self.gutis: dict[object, int] = {}

    def teardown(self) -> None:
        try:
            self.quiesce()
        finally:
            self.network.close()
            shutil.rmtree(self.folder)

    # ------------------------------------------------------------------ what UEs do

    def talk(self, ue: int) -> Talk | None:
        return self.talks[ue][-1] if self.talks[ue] else None

    def sending(self, ue: int) -> Talk | None:
        talk = self.talk(ue)
        return talk if talk is not None and talk.queue else None

    @rule(ue=ue_numbers, kind=st.sampled_from(["good", "good", "good", "esm", "wrong res", "wrong key"]))
    def attach(self, ue: int, kind: str) -> None:
        """Also while the UE is registered, or in the middle of an attach, which it then forgets."""
        before = self.talk(ue)
        if before is not None and before.queue:
            before.queue.clear()
            self.lossy.add(before)
            before.deaf = True
        profile = Profile(
            plmn=PLMN,
            wrong_res=kind == "wrong res",
            esm_information=kind == "esm",
            access_point_name="internet" if kind == "esm" else None,
        )
        usim = Usim(replace(self.sims[ue], k=bytes(16))) if kind == "wrong key" else self.usims[ue]
        self.talks[ue].append(self.network.ue(self.sims[ue], profile=profile, usim=usim))

    @rule(ue=ue_numbers, index=st.integers(0, 2))
    def send(self, ue: int, index: int) -> None:
        """The next message, or one of those behind it."""
        talk = self.sending(ue)
        if talk is not None:
            self.last[talk] = talk.step(index % len(talk.queue))

    @rule(ue=ue_numbers)
    def finish(self, ue: int) -> None:
        talk = self.sending(ue)
        if talk is not None:
            exchanges = talk.flow()
            self.last[talk] = exchanges[-1]

    @rule(ue=ue_numbers)
    def reply_is_lost(self, ue: int) -> None:
        """The caller resends the item; the eNB sees one of the two replies."""
        talk = self.sending(ue)
        if talk is not None:
            first = talk.post()
            second = self.network.again(first)
            assert second.reply == first.reply or first.reply.result == "retry"
            for _ in range(8):
                if second.reply.result != "retry":
                    break
                second = self.network.again(second)
            talk.take(second)
            self.last[talk] = second

    @rule(ue=ue_numbers)
    def duplicate(self, ue: int) -> None:
        """An older item again: no second effect."""
        talk = self.talk(ue)
        if talk is None or talk not in self.last:
            return
        first = self.last[talk]
        again = self.network.again(first)
        if again.reply != first.reply:
            assert again.reply.downlink == []
            assert again.reply.result in ("duplicate", "stale", "discarded")

    @rule(ue=ue_numbers)
    def drop(self, ue: int) -> None:
        """The UE's message is lost on the air."""
        talk = self.sending(ue)
        if talk is not None:
            talk.queue.pop(0)
            self.lossy.add(talk)

    @rule(ue=ue_numbers, switch_off=st.booleans())
    def detach(self, ue: int, switch_off: bool) -> None:
        talk = self.talk(ue)
        if talk is not None and talk.ue.state is State.REGISTERED and not talk.side.released:
            talk.detach(switch_off=switch_off)

    @rule(ue=ue_numbers)
    def give_up(self, ue: int) -> None:
        """The eNB's side gives the UE up."""
        talk = self.talk(ue)
        if talk is None or talk.side.mme_ue_s1ap_id is None:
            return
        talk.queue.clear()
        self.lossy.add(talk)
        exchange = self.network.event(
            "release-ue", mme_ue_s1ap_id=talk.side.mme_ue_s1ap_id, run=f"{talk.run_name}-gone{talk.sent}"
        )
        for downlink in exchange.reply.downlink:
            talk.hear(downlink)

    # ------------------------------------------------------------------ what the world does

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.network.wait(seconds, step_s=min(seconds, 1.0))

    @rule(works=st.booleans())
    def listener(self, works: bool) -> None:
        self.network.pushes.works = works

    @rule(
        effect=st.sampled_from(
            [FaultConflict(), FaultUnknown(Applied.YES), FaultUnknown(Applied.NO), FaultUnknown(Applied.LATER)]
        )
    )
    def next_write_is_odd(self, effect: FaultConflict | FaultUnknown) -> None:
        self.network.faults.plan = on_save(effect, table=Table.UE_CONTEXT)

    @precondition(lambda self: any(self.sending(ue) for ue in range(UES)))
    @rule(ue=ue_numbers, read=st.booleans())
    def store_is_away(self, ue: int, read: bool) -> None:
        """For one operation of one item; it is resent."""
        talk = self.sending(ue)
        if talk is not None:
            plan = on_load if read else on_save
            self.network.faults.plan = plan(FaultUnavailable())
            self.last[talk] = talk.step()
            self.network.faults.plan = []

    @rule()
    def deliver(self) -> None:
        self.network.deliver()

    # ------------------------------------------------------------------ what holds at any time

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        for ctx in self.network.contexts():
            if ctx.emm is EmmState.COMMON_PROCEDURE_INITIATED:
                assert ctx.timers or ctx.waiting_for, ctx.step

    @invariant()
    def sequence_numbers_grow(self) -> None:
        for n, imsi in enumerate(self.imsis):
            sqn = self.network.sqn(imsi)
            assert sqn >= self.sqns[n]
            self.sqns[n] = sqn

    @invariant()
    def nothing_is_given_to_two(self) -> None:
        contexts = self.network.contexts()
        addresses = [ctx.bearer.session.ipv4 for ctx in contexts if ctx.bearer is not None]
        assert len(addresses) == len(set(addresses))
        for ctx in contexts:
            if ctx.guti is not None:
                assert self.gutis.setdefault(ctx.guti, ctx.key) == ctx.key

    # ------------------------------------------------------------------ what holds at the end

    def quiesce(self) -> None:
        network = self.network
        network.pushes.works = True
        network.faults.plan = []
        for _ in range(14):
            for talks in self.talks:
                for talk in talks:
                    talk.flow()
            network.wait(5, step_s=5)
        for talk in (talk for talks in self.talks for talk in talks):
            assert_no_count_used_twice(talk)
        contexts = network.contexts()
        assert not any(ctx.emm is EmmState.COMMON_PROCEDURE_INITIATED for ctx in contexts)
        assert not any(ctx.outbox for ctx in contexts)
        left = {name for ctx in contexts for name in ctx.timers}
        assert left <= {TimerName.MOBILE_REACHABLE.value, TimerName.IMPLICIT_DETACH.value}
        registered = [ctx for ctx in contexts if ctx.emm is EmmState.REGISTERED]
        assert len({ctx.imsi for ctx in registered}) == len(registered)
        held = {ctx.bearer.session.ipv4 for ctx in registered if ctx.bearer is not None}
        assert len(held) == len(registered) == len(network.sessions())
        for talks in self.talks:
            for talk in talks[-1:]:
                self.agree(talk)

    def agree(self, talk: Talk) -> None:
        """The UE and the MME think the same of each other, where nothing was lost for good."""
        ctx = self.network.context_of(talk)
        ue = talk.ue
        if ctx is None or talk in self.lossy:
            return
        assert (ue.state is State.REGISTERED) == (ctx.emm is EmmState.REGISTERED), talk.names
        if ctx.emm is not EmmState.REGISTERED:
            return
        assert ue.security is not None
        assert ctx.security is not None
        assert ctx.guti == ue.guti
        assert self.network.indexed(talk.ue.usim.imsi.digits) == ctx.key
        mine = (ue.security.k_asme, ue.security.ksi, ue.security.eea, ue.security.eia)
        assert mine == (ctx.security.k_asme, ctx.security.ksi, ctx.security.eea, ctx.security.eia)
        assert (ctx.security.ul_count, ctx.security.dl_count) == (ue.security.ul_count, ue.security.dl_count)
        assert ctx.connection is not None
        assert talk.side.mme_ue_s1ap_id == ctx.connection.mme_ue_s1ap_id


TestUes = Ues.TestCase
TestUes.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
