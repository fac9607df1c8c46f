"""The agent's decisions, without clock, files or processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reload.agent import core
from reload.agent.core import (
    Acted,
    Action,
    Changed,
    Check,
    Checked,
    DaemonExited,
    Exit,
    Find,
    Forward,
    GoBack,
    Keep,
    KillDaemon,
    Look,
    Observation,
    Phase,
    Plan,
    Policy,
    Read,
    Report,
    StartDaemon,
    Started,
    State,
    StopDaemon,
    Take,
    Tell,
    Tick,
    Told,
    Verdict,
)

WRAPPER = Plan(Policy.SIGNAL, wrapper=True, debounce_ms=100, grace_ms=1000, prove_ms=300)
TERM, HUP, USR1 = 15, 1, 10


class Play:
    """Feeds observations and keeps what they led to."""

    def __init__(self, plan: Plan, state: State | None = None) -> None:
        self.state = state or State(plan)

    def see(self, *observations: Observation) -> list[Action]:
        """The actions of all of them."""
        done: list[Action] = []
        for observation in observations:
            self.state, actions = core.decide(self.state, observation)
            done += actions
        return done


def running(policy: Policy = Policy.SIGNAL, *, wrapper: bool = True) -> Play:
    """A daemon that runs with digest A since time 0."""
    play = Play(replace(WRAPPER, policy=policy, wrapper=wrapper))
    play.see(Started(0, ""), Read(0, "A"), Checked(0))
    assert (play.state.applied, play.state.phase) == ("A", Phase.WATCHING)
    return play


def offered(play: Play, digest: str = "B", at_ms: int = 1000, fault: str = "") -> list[Action]:
    """The directory changes to that digest; what follows the check."""
    assert play.see(Changed(at_ms)) == []
    assert play.see(Tick(at_ms + 100)) == [Look()]
    assert play.see(Read(at_ms + 100, digest)) == [Check()]
    return play.see(Checked(at_ms + 150, fault))


def test_the_first_configuration_is_checked_before_the_daemon_starts() -> None:
    play = Play(WRAPPER)
    assert play.see(Started(0, "")) == [Look()]
    assert play.see(Read(1, "A")) == [Check()]
    assert play.see(Checked(2)) == [Take(), StartDaemon(), Keep(), Report(Verdict.APPLIED, "A", "")]
    assert play.state.running


def test_a_bad_first_configuration_starts_nothing_and_the_cure_starts_the_daemon() -> None:
    play = Play(WRAPPER)
    play.see(Started(0, ""), Read(1, "bad"))
    assert play.see(Checked(2, "line 3")) == [Report(Verdict.REJECTED, "bad", "line 3")]
    assert not play.state.running
    assert StartDaemon() in offered(play, "A")


def test_after_a_restart_of_the_container_the_last_good_one_is_used_when_the_mounted_one_is_bad() -> None:
    play = Play(WRAPPER)
    play.see(Started(0, "A"), Read(1, "bad"))
    assert play.see(Checked(2, "line 3")) == [StartDaemon(), Report(Verdict.REJECTED, "bad", "line 3")]
    assert play.state.applied == "A"


def test_after_a_restart_of_the_container_the_same_configuration_is_not_checked_again() -> None:
    play = Play(WRAPPER)
    assert play.see(Started(0, "A"), Read(1, "A")) == [Look(), StartDaemon(), Keep(), Report(Verdict.APPLIED, "A", "")]


def test_a_daemon_that_dies_of_what_the_check_let_pass_comes_back_with_the_last_good_one() -> None:
    play = Play(WRAPPER)
    play.see(Started(0, "A"), Read(1, "B"))
    assert play.see(Checked(2)) == [Take(), StartDaemon()]
    actions = play.see(DaemonExited(50, 3))
    assert actions[:2] == [GoBack(), StartDaemon()]
    assert play.state.verdict is Verdict.FAILED
    assert (play.state.applied, play.state.placed) == ("A", "A")


def test_a_signal_counts_as_taken_only_when_the_daemon_lives_on() -> None:
    play = running()
    assert offered(play) == [Take(), Tell()]
    assert play.see(Acted(1160)) == []
    assert play.see(Tick(1459)) == []
    assert play.state.applied == "A"
    assert play.see(Tick(1460)) == [Keep(), Report(Verdict.APPLIED, "B", "")]
    assert play.state.applied == "B"


def test_a_daemon_that_dies_of_the_signal_is_started_again_with_the_last_good_one() -> None:
    play = running()
    offered(play)
    play.see(Acted(1160))
    actions = play.see(DaemonExited(1200, 4))
    assert actions[:2] == [GoBack(), StartDaemon()]
    assert isinstance(actions[2], Report)
    assert "code 4" in actions[2].reason
    assert play.state.verdict is Verdict.FAILED
    assert play.see(DaemonExited(9000, 4)) == [Exit(4)]


def is_back_on_a(play: Play, actions: list[Action], at_ms: int) -> None:
    """One daemon was started with A, B is not tried again, and a later death is the container's."""
    assert actions[:2] == [GoBack(), StartDaemon()]
    assert not any(isinstance(action, (Keep, Exit, Take)) for action in actions)
    assert (play.state.applied, play.state.placed, play.state.running) == ("A", "A", True)
    assert (play.state.verdict, play.state.phase) == (Verdict.FAILED, Phase.WATCHING)
    assert play.see(Changed(at_ms + 5000), Tick(at_ms + 5100), Read(at_ms + 5100, "B")) == [Look()]
    assert play.see(DaemonExited(at_ms + 6000, 9)) == [Exit(9)]


TOLD = [Policy.SIGNAL, Policy.HTTP]


@pytest.mark.parametrize("policy", TOLD)
def test_a_daemon_whose_end_is_seen_before_the_telling_is_answered_comes_back_with_the_last_good_one(
    policy: Policy,
) -> None:
    play = running(policy)
    offered(play)
    actions = play.see(DaemonExited(1180, 3))
    assert actions[2:] == [Report(Verdict.FAILED, "B", "the daemon ended with code 3 when it was told")]
    assert play.see(Acted(1181, "no answer"), Acted(1182)) == []
    is_back_on_a(play, actions, 1180)


@pytest.mark.parametrize("policy", TOLD)
def test_a_daemon_that_dies_after_it_was_told_comes_back_with_the_last_good_one(policy: Policy) -> None:
    play = running(policy)
    offered(play)
    assert play.see(Acted(1160)) == []
    is_back_on_a(play, play.see(DaemonExited(1459, 3)), 1459)


def test_a_daemon_whose_lost_answer_is_seen_before_its_end_is_started_again() -> None:
    play = running(Policy.HTTP)
    offered(play)
    assert play.see(Acted(1180, "no answer")) == [GoBack(), Report(Verdict.FAILED, "B", "no answer")]
    assert play.see(DaemonExited(1200, 3)) == [StartDaemon()]
    assert (play.state.applied, play.state.placed, play.state.running) == ("A", "A", True)
    assert play.see(DaemonExited(1210, 3)) == [Exit(3)]


def test_a_daemon_that_refuses_and_ends_much_later_ends_the_container_with_the_last_good_one_in_place() -> None:
    play = running(Policy.HTTP)
    offered(play)
    assert GoBack() in play.see(Acted(1180, "answered 500"))
    assert play.see(DaemonExited(1480, 3)) == [Exit(3)]


def test_a_daemon_that_refused_and_dies_while_the_next_candidate_is_judged_is_started_again() -> None:
    play = running(Policy.HTTP)
    offered(play)
    play.see(Changed(1160), Acted(1180, "answered 500"))
    assert play.see(Tick(1280), Read(1280, "C")) == [Look(), Check()]
    assert play.see(DaemonExited(1300, 3)) == [StartDaemon()]
    assert play.see(Checked(1350)) == [Take(), Tell()]


@pytest.mark.parametrize("steps", range(4))
def test_a_daemon_that_ends_before_anybody_could_tell_it_is_never_left_with_what_is_not_proven(steps: int) -> None:
    """B waits in place for a daemon that does not listen yet; C is on its way, so many steps far."""
    play = running(Policy.HTTP)
    offered(play)
    assert play.see(Acted(1160, "refused", absent=True)) == [Report(Verdict.WAITING, "B", "refused")]
    play.see(*[Changed(1200), Tick(1300), Read(1300, "C")][:steps])
    actions = play.see(DaemonExited(1350, 3))
    if steps == 0:
        # A start with B tells whether it is good.
        assert (actions, play.state.phase) == ([StartDaemon()], Phase.PROVING)
        is_back_on_a(play, play.see(DaemonExited(1400, 3)), 1400)
        return
    assert actions == [GoBack(), StartDaemon()]
    assert (play.state.applied, play.state.placed) == ("A", "A")
    play.see(*[Changed(1200), Tick(1300), Read(1300, "C")][steps:])
    assert play.see(Checked(1450)) == [Take(), Tell()]


def test_a_daemon_that_ends_before_anybody_could_tell_it_and_lives_with_the_new_one_keeps_it() -> None:
    play = running(Policy.HTTP)
    offered(play)
    play.see(Acted(1160, "refused", absent=True))
    assert play.see(DaemonExited(1350, 3)) == [StartDaemon()]
    assert play.see(Acted(1360), Tick(1649)) == []
    assert play.see(Tick(1650)) == [Keep(), Report(Verdict.APPLIED, "B", "")]


@pytest.mark.parametrize("wrapper", [True, False])
def test_what_waits_for_a_daemon_goes_when_a_newer_one_is_refused(wrapper: bool) -> None:
    play = running(Policy.HTTP, wrapper=wrapper)
    offered(play)
    play.see(Acted(1160, "refused", absent=True))
    actions = offered(play, "C", 1200, fault="line 3")
    assert actions == [GoBack(), Report(Verdict.REJECTED, "C", "line 3")]
    assert (play.state.applied, play.state.placed) == ("A", "A")


def test_restart_of_a_daemon_that_dies_by_itself_meanwhile_proves_the_new_one_all_the_same() -> None:
    play = running(Policy.RESTART)
    offered(play)
    assert play.see(DaemonExited(1151, 139)) == [StartDaemon()]
    is_back_on_a(play, play.see(DaemonExited(1300, 3)), 1300)


def test_policy_none_cannot_tell_what_a_daemon_died_of() -> None:
    play = running(Policy.NONE)
    assert Keep() in offered(play)
    assert play.see(DaemonExited(1151, 3)) == [Exit(3)]


@pytest.mark.parametrize("policy", list(Policy))
def test_no_end_of_a_daemon_ends_the_container_with_what_is_not_proven(policy: Policy) -> None:
    """Whatever order a few events come in: where the wrapper ends or starts a daemon, what is in place was proven, or
    is being proven; only where it is told to end may it leave it, and then `..good` is on the volume."""
    events: list[Callable[[int], Observation]] = [
        Changed,
        lambda at: Tick(at + 400),
        lambda at: Read(at, "B"),
        lambda at: Read(at, "C"),
        Checked,
        lambda at: Checked(at, "line 3"),
        Acted,
        lambda at: Acted(at, "no answer"),
        lambda at: Acted(at, "refused", absent=True),
        lambda at: DaemonExited(at - 900, 3),
        lambda at: DaemonExited(at, 3),
    ]
    begun = [Play(replace(WRAPPER, policy=policy)) for _ in range(2)]
    begun[0].see(Started(0, "A"), Read(0, "A"))
    begun[1].see(Started(0, "A"), Read(0, "B"), Checked(0))
    left = [(play.state, "A", play.state.placed, 0) for play in begun]
    reached = {play.state for play in begun}
    while left:
        state, kept, placed, depth = left.pop()
        for event in events:
            after, actions = core.decide(state, event(1000 * (depth + 1)))
            now_kept, now_placed = kept, placed
            for action in actions:
                if isinstance(action, Take):
                    now_placed = after.candidate
                elif isinstance(action, Keep):
                    now_kept = now_placed
                elif isinstance(action, GoBack):
                    now_placed = now_kept
                elif isinstance(action, Exit):
                    assert now_placed == now_kept, (state, event)
                elif isinstance(action, StartDaemon):
                    assert now_placed == now_kept or after.phase is Phase.PROVING, (state, event)
            assert (after.placed, after.applied) == (now_placed, now_kept), (state, event)
            if depth < 7 and after not in reached and not any(isinstance(action, Exit) for action in actions):
                reached.add(after)
                left.append((after, now_kept, now_placed, depth + 1))
    assert {state.phase for state in reached} >= {Phase.WATCHING, Phase.SETTLING, Phase.READING, Phase.CHECKING}


@pytest.mark.parametrize("policy", list(Policy))
def test_a_refused_candidate_changes_nothing_under_any_policy(policy: Policy) -> None:
    play = running(policy)
    assert offered(play, fault="unknown directive") == [Report(Verdict.REJECTED, "B", "unknown directive")]
    assert (play.state.applied, play.state.placed, play.state.running) == ("A", "A", True)


def test_the_same_bad_candidate_is_not_judged_twice() -> None:
    play = running()
    offered(play, fault="bad")
    assert play.see(Changed(5000), Tick(5100), Read(5100, "B")) == [Look()]
    assert play.state.phase is Phase.WATCHING


def test_the_return_to_the_good_configuration_is_reported_without_touching_the_daemon() -> None:
    play = running()
    offered(play, fault="bad")
    assert play.see(Changed(5000), Tick(5100), Read(5100, "A")) == [Look(), Keep(), Report(Verdict.APPLIED, "A", "")]


def test_a_swap_to_equal_contents_does_nothing() -> None:
    play = running()
    assert play.see(Changed(5000), Tick(5100), Read(5100, "A")) == [Look()]
    assert play.state.phase is Phase.WATCHING


def test_policy_none_puts_it_in_place_and_tells_nobody() -> None:
    assert offered(running(Policy.NONE)) == [Take(), Keep(), Report(Verdict.APPLIED, "B", "")]


def test_policy_http_is_applied_by_the_daemons_answer() -> None:
    play = running(Policy.HTTP, wrapper=False)
    assert offered(play) == [Take(), Tell()]
    assert play.see(Acted(1200)) == [Keep(), Report(Verdict.APPLIED, "B", "")]


def test_policy_http_of_the_wrapper_is_applied_by_the_answer_of_a_daemon_that_lives_on() -> None:
    play = running(Policy.HTTP)
    assert offered(play) == [Take(), Tell()]
    assert play.see(Acted(1200), Tick(1499)) == []
    assert play.see(Tick(1500)) == [Keep(), Report(Verdict.APPLIED, "B", "")]


def test_policy_http_goes_back_when_the_daemon_refuses() -> None:
    play = running(Policy.HTTP)
    offered(play)
    assert play.see(Acted(1200, "answered 500")) == [GoBack(), Report(Verdict.FAILED, "B", "answered 500")]
    assert (play.state.applied, play.state.placed) == ("A", "A")


def test_restart_waits_for_the_exit_kills_after_the_grace_and_proves_the_new_one() -> None:
    play = running(Policy.RESTART)
    assert offered(play) == [Take(), StopDaemon()]
    assert play.see(Tick(2149)) == []
    assert play.see(Tick(2150)) == [KillDaemon()]
    assert play.see(Tick(2200)) == []
    assert play.see(DaemonExited(2210, 137)) == [StartDaemon()]
    assert play.see(Tick(2509)) == []
    assert play.see(Tick(2510)) == [Keep(), Report(Verdict.APPLIED, "B", "")]


def test_restart_goes_back_when_the_new_daemon_dies() -> None:
    play = running(Policy.RESTART)
    offered(play)
    play.see(DaemonExited(1200, 0))
    assert play.see(DaemonExited(1300, 3))[:2] == [GoBack(), StartDaemon()]
    assert play.state.applied == "A"


def test_changes_are_read_once_they_rest_and_in_the_end_all_the_same() -> None:
    play = running()
    for at_ms in range(1000, 2000, 90):
        assert play.see(Tick(at_ms), Changed(at_ms)) == []
    assert play.see(Tick(1999)) == []
    assert play.see(Tick(2000)) == [Look()]


def test_what_changes_while_a_cycle_is_busy_begins_the_next_one() -> None:
    play = running()
    offered(play)
    play.see(Changed(1155), Acted(1160), Tick(1460))
    assert play.state.phase is Phase.SETTLING
    assert play.see(Tick(1560)) == [Look()]


def test_an_unreadable_directory_is_refused() -> None:
    play = running()
    play.see(Changed(1000), Tick(1100))
    assert play.see(Read(1100, "", "too large")) == [Report(Verdict.REJECTED, "", "too large")]


def test_a_sidecar_looks_whether_the_daemon_survived() -> None:
    play = running(wrapper=False)
    assert offered(play) == [Take(), Tell()]
    play.see(Acted(1160))
    assert play.see(Tick(1460)) == [Find()]
    assert play.see(Acted(1461, "gone")) == [GoBack(), Report(Verdict.FAILED, "B", "gone")]


def test_a_sidecar_without_a_daemon_tries_again_and_takes_a_newer_configuration_meanwhile() -> None:
    play = running(wrapper=False)
    offered(play)
    assert play.see(Acted(1160, "no process", absent=True)) == [Report(Verdict.WAITING, "B", "no process")]
    assert play.see(Tick(2160)) == [Tell()]
    assert play.see(Acted(2161, "no process", absent=True)) == []
    assert play.state.applied == "A"
    assert offered(play, "C", at_ms=2200) == [Take(), Tell()]
    assert play.see(Acted(2400), Tick(2700), Acted(2701)) == [Find(), Keep(), Report(Verdict.APPLIED, "C", "")]


def test_signals_are_forwarded_and_the_exit_code_is_kept() -> None:
    play = running()
    assert play.see(Told(10, USR1, ends=False)) == [Forward(USR1)]
    assert play.see(Told(20, TERM, ends=True)) == [Forward(TERM)]
    assert play.see(Changed(30), Tick(500)) == []
    assert play.see(DaemonExited(600, 143)) == [Exit(143)]


def test_a_daemon_that_ends_by_itself_ends_the_container_with_its_code() -> None:
    assert running().see(DaemonExited(600, 5)) == [Exit(5)]


def test_told_to_end_in_the_middle_of_a_restart_starts_nothing_again_and_still_kills() -> None:
    play = running(Policy.RESTART)
    offered(play)
    assert play.see(Told(1500, TERM, ends=True)) == [Forward(TERM)]
    assert play.see(Tick(2150)) == [KillDaemon()]
    assert play.see(DaemonExited(2200, 137)) == [Exit(137)]


@pytest.mark.parametrize(("wrapper", "code"), [(True, 128 + TERM), (False, 0)])
def test_told_to_end_without_a_daemon(wrapper: bool, code: int) -> None:
    play = Play(replace(WRAPPER, wrapper=wrapper))
    play.see(Started(0, ""))
    assert play.see(Told(10, TERM, ends=True)) == [Exit(code)]


def test_late_answers_of_an_earlier_phase_change_nothing() -> None:
    play = running()
    before = play.state
    assert play.see(Checked(10), Acted(10), Read(10, "X")) == []
    assert play.state == before


def test_each_configuration_that_was_applied_is_a_generation() -> None:
    play = Play(Plan(Policy.NONE, wrapper=False, debounce_ms=100))
    play.see(Started(1, ""), Read(2, "one"), Checked(3))
    assert (play.state.generation, play.state.applied, play.state.applied_ms) == (1, "one", 3)
    play.see(Changed(10), Tick(110), Read(111, "two"), Checked(112))
    assert (play.state.generation, play.state.applied, play.state.applied_ms) == (2, "two", 112)
    # nothing changed
    play.see(Changed(200), Tick(300), Read(301, "two"))
    assert play.state.generation == 2
    # refused
    play.see(Changed(400), Tick(500), Read(501, "three"), Checked(502, "line 1"))
    assert (play.state.generation, play.state.applied) == (2, "two")


def waits_for_a_daemon() -> Play:
    """The sidecar has put `two` in place; the daemon that runs with `one` is not to be found."""
    sidecar = Plan(Policy.SIGNAL, wrapper=False, debounce_ms=100, prove_ms=300)
    play = Play(sidecar, State(sidecar, applied="one", placed="one", verdict=Verdict.APPLIED))
    play.see(Changed(0), Tick(100), Read(101, "two"), Checked(102), Acted(103, "no such process", absent=True))
    assert (play.state.phase, play.state.placed, play.state.seen_ms) == (Phase.ABSENT, "two", 101)
    return play


def test_a_candidate_that_waits_was_seen_when_it_was_seen_first() -> None:
    play = waits_for_a_daemon()
    play.see(Changed(200), Tick(300), Read(301, "two"))
    assert play.state.seen_ms == 101
    play.see(Checked(302), Acted(303, "no such process", absent=True), Changed(400), Tick(500), Read(501, "three"))
    assert play.state.seen_ms == 501


def test_what_the_daemon_runs_with_is_put_back_where_another_one_waits() -> None:
    """It is `one` again: that is what runs, and not what is in place."""
    play = waits_for_a_daemon()
    done = play.see(Changed(200), Tick(300), Read(301, "one"))
    assert Check() in done
    done = play.see(Checked(302))
    assert Take() in done
    assert play.state.placed == "one"
