"""The agent's decisions, without clock, files or processes."""

from __future__ import annotations

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
    play = running(Policy.HTTP)
    assert offered(play) == [Take(), Tell()]
    assert play.see(Acted(1200)) == [Keep(), Report(Verdict.APPLIED, "B", "")]


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
