"""enb-app: attach simulated UEs to an MME behind an OpenFaaS gateway, and tell what happened."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prometheus_client import start_http_server
from rich.console import Console

from enb_app import case_command, command_line, life_command, report
from enb_app.association import Leave
from enb_app.attach import RunBrokeError, attach
from enb_app.attempts import MOST_ATTEMPTS
from enb_app.command_line import positive, positive_real
from enb_app.options import DEFAULT_GATEWAY, DEFAULT_SUBSCRIBERS, AttachOptions, Fault, Mode, default_secrets
from enb_app.outbox import Policy
from enb_app.result import Result
from mme.errors import ConfigError
from mme.ids import GlobalEnbId, Plmn

BROKEN = 2
_INTERRUPTED = 130

_DESCRIPTION = """\
An eNB with its UEs.  It speaks real S1AP (TS 36.413) and NAS (TS 24.301) with real keys to the functions mme-* behind
an OpenFaaS gateway, one function invocation per S1AP message, and measures every one of them."""

_EXAMPLES = """\
examples:
  enb-app attach --ues 1 --mode sync --ladder        one UE, and every message of it
  enb-app attach --ues 200 --concurrency 50          two hundred, over async invocations with callbacks
  enb-app attach --ues 400 --concurrency 400 --batch 16 --report report/
  enb-app attach --ues 300 --rate 20 --detach --json run.json --pcap run.pcap
  enb-app attach --ues 1 --wrong-key                 a UE that finds the network's AUTN wrong: refused

exit status:
  0  all UEs attached (and every replayed message was discarded)
  1  some were refused; the table and the JSON say why
  2  the run broke: no gateway, no such function, no key, too few subscribers; one line says what to do next"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="enb-app",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "attach",
        help="S1 Setup, then attach UEs and measure",
        description="S1 Setup, then attach UEs, each by IMSI with EPS AKA, NAS security and a default bearer.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_load(command)
    _add_ues(command)
    _add_network(command)
    _add_output(command)
    case = commands.add_parser(
        "case",
        help="run scripted conformance cases",
        description="Scripted cases, negative ones too, each with UEs and eNBs of its own, over synchronous calls.",
        epilog=case_command.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    case_command.add_arguments(case)
    command_line.add_lab(case, enb_id=0x30000, mode=Mode.SYNC)
    life = commands.add_parser(
        "life",
        help="let UEs live: attach, idle, paged, back, elsewhere, gone; then check that both sides agree",
        description="UEs that attach, go idle, are paged, return, update their area, detach and come back.",
        epilog=life_command.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    life_command.add_arguments(life)
    command_line.add_lab(life, enb_id=0x40000, mode=Mode.ASYNC)
    return top


def _add_load(command: argparse.ArgumentParser) -> None:
    load = command.add_argument_group("load")
    load.add_argument("--gateway", default=DEFAULT_GATEWAY, metavar="URL", help="OpenFaaS gateway (%(default)s)")
    load.add_argument("--ues", type=positive, default=200, metavar="N", help="UEs to attach (%(default)s)")
    load.add_argument(
        "--concurrency",
        type=positive,
        default=50,
        metavar="C",
        help="closed loop: C workers, each running whole attaches one after the other (%(default)s)",
    )
    load.add_argument(
        "--rate",
        type=positive_real,
        metavar="R",
        help="open loop instead: R attaches begin each second, however the earlier ones fare",
    )
    load.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        default=Mode.ASYNC.value,
        help="async: /async-function with a callback to this process; sync: /function (%(default)s)",
    )
    load.add_argument(
        "--batch",
        type=positive,
        default=1,
        metavar="B",
        help="put up to B messages of different UEs that wait for the same function into one invocation (%(default)s)",
    )
    load.add_argument(
        "--calls",
        type=positive,
        default=Policy().calls,
        metavar="K",
        help="with --batch: invocations under way at once for a function; the rest waits, to be batched (%(default)s)",
    )
    load.add_argument(
        "--eager",
        action="store_true",
        help="send a UE's messages without waiting for the answer to the one before, as a real eNB does",
    )
    load.add_argument(
        "--ignore-overload",
        action="store_true",
        help="eNBs go on at S1 Overload Start; by default they reject RRC connections for signalling, and UEs wait",
    )
    load.add_argument(
        "--attempts",
        type=command_line.positive,
        default=MOST_ATTEMPTS,
        metavar="N",
        help="attaches of a UE that is refused for congestion, after T3346 if it is told one, else T3411, or T3402 "
        "(12 minutes) after each fifth (%(default)s)",
    )


def _add_ues(command: argparse.ArgumentParser) -> None:
    ues = command.add_argument_group("what the UEs do")
    leaving = ues.add_mutually_exclusive_group()
    leaving.add_argument("--detach", action="store_true", help="detach again, waiting for Detach Accept")
    leaving.add_argument("--switch-off", action="store_true", help="detach as a UE that is switched off")
    ues.add_argument("--esm-information", action="store_true", help="keep the APN back until the MME asks for it")
    ues.add_argument("--apn", default="internet", metavar="NAME", help="APN told then (%(default)s)")
    ues.add_argument("--t3410", type=positive_real, default=15.0, metavar="S", help="attach timer (%(default)s s)")
    bad = command.add_argument_group("bad UEs").add_mutually_exclusive_group()
    bad.add_argument(
        "--wrong-key",
        action="store_true",
        help="K differs from the HSS's: AUTN fails (Authentication Failure #20), identity check, Authentication Reject",
    )
    bad.add_argument("--wrong-res", action="store_true", help="a wrong RES: Authentication Reject")
    bad.add_argument("--unknown-imsi", action="store_true", help="an IMSI that no HSS has: Attach Reject #8")
    command.add_argument(
        "--replay",
        action="store_true",
        help="send each protected NAS message a second time as a new message: the MME must discard the copy",
    )


def _add_network(command: argparse.ArgumentParser) -> None:
    network = command.add_argument_group("eNB, keys and subscribers")
    network.add_argument("--enbs", type=positive, default=1, metavar="N", help="eNBs; UEs take turns (%(default)s)")
    network.add_argument("--plmn", type=command_line.plmn, default=Plmn("00101"), metavar="DIGITS", help="PLMN (00101)")
    network.add_argument("--enb-id", type=command_line.number, default=0x19B, metavar="ID", help="macro eNB id (0x19b)")
    network.add_argument(
        "--tac", type=command_line.number, default=7, metavar="TAC", help="tracking area (%(default)s)"
    )
    network.add_argument(
        "--secrets",
        type=Path,
        default=None,
        metavar="DIR",
        help="with edge-signing-key, the master of the eNBs' keys ($EDGE_SECRETS_DIR, else .localfaas/secrets)",
    )
    network.add_argument("--enb-key-file", type=Path, metavar="FILE", help="this eNB's own key in hex, instead of that")
    network.add_argument(
        "--subscribers",
        type=Path,
        default=DEFAULT_SUBSCRIBERS,
        metavar="CSV",
        help="columns imsi,k,opc; the UEs are its first N (%(default)s)",
    )
    network.add_argument("--first-ue", type=int, default=0, metavar="M", help="skip the first M subscribers")
    network.add_argument(
        "--callback-host",
        default="127.0.0.1",
        metavar="HOST",
        help="address of this machine to which the gateway's queue workers and functions answer (%(default)s)",
    )
    network.add_argument("--callback-port", type=int, default=0, metavar="PORT", help="its port (any free one)")


def _add_output(command: argparse.ArgumentParser) -> None:
    output = command.add_argument_group("what comes out")
    output.add_argument("--ladder", action="store_true", help="print every message of the first UE")
    output.add_argument("--json", type=Path, metavar="FILE", help="every figure, outcome and raw sample as JSON")
    output.add_argument("--report", type=Path, metavar="DIR", help="write DIR/index.html: one file, plots inside")
    output.add_argument("--pcap", type=Path, metavar="FILE", help="every S1AP message, for Wireshark")
    output.add_argument(
        "--log", type=Path, metavar="FILE", help="a JSON line for each message, with the trace of the functions' logs"
    )
    output.add_argument(
        "--metrics-port",
        type=int,
        default=0,
        metavar="PORT",
        help="serve Prometheus metrics on 127.0.0.1 while it runs: calls sent and not answered yet (0: not at all)",
    )
    output.add_argument("--quiet", action="store_true", help="no progress bar and no table")


def options_from(arguments: argparse.Namespace) -> AttachOptions:
    """What the command line says.  Raises ConfigError for what does not go together."""
    faults = {
        Fault.WRONG_KEY: arguments.wrong_key,
        Fault.WRONG_RES: arguments.wrong_res,
        Fault.UNKNOWN_IMSI: arguments.unknown_imsi,
    }
    leave = Leave.DETACH if arguments.detach else Leave.SWITCH_OFF if arguments.switch_off else Leave.STAY
    if arguments.enb_key_file is not None and arguments.enbs > 1:
        raise ConfigError("--enb-key-file", "holds the key of one eNB, so --enbs must be 1")
    if arguments.replay and arguments.eager:
        raise ConfigError("--replay", "needs messages to arrive in order, which --eager gives up")
    if not arguments.gateway.startswith(("http://", "https://")):
        raise ConfigError("--gateway", "must begin with http:// or https://")
    if not 0 <= arguments.enb_id <= 0xFFFFF - arguments.enbs + 1:
        raise ConfigError("--enb-id", "a macro eNB's id has 20 bits")
    if not 0 <= arguments.tac <= 0xFFFF:
        raise ConfigError("--tac", "must be 0 to 65535")
    if arguments.first_ue < 0:
        raise ConfigError("--first-ue", "must be 0 or more")
    return AttachOptions(
        gateway=arguments.gateway,
        ues=arguments.ues,
        concurrency=arguments.concurrency,
        mode=Mode(arguments.mode),
        rate_per_s=arguments.rate,
        enbs=arguments.enbs,
        enb=GlobalEnbId(arguments.plmn, arguments.enb_id),
        tac=arguments.tac,
        enb_key_file=arguments.enb_key_file,
        secrets=arguments.secrets or default_secrets(),
        subscribers=arguments.subscribers,
        first_ue=arguments.first_ue,
        leave=leave,
        fault=next((fault for fault, asked in faults.items() if asked), Fault.NONE),
        replay=arguments.replay,
        eager=arguments.eager,
        esm_information=arguments.esm_information,
        access_point_name=arguments.apn,
        t3410_s=arguments.t3410,
        policy=replace(Policy(), batch=arguments.batch, calls=arguments.calls),
        callback_host=arguments.callback_host,
        callback_port=arguments.callback_port,
        pcap=arguments.pcap,
        log=arguments.log,
        ignore_overload=arguments.ignore_overload,
        attempts=arguments.attempts,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command -> exit status."""
    arguments = parser().parse_args(argv)
    console = report.console()
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        command_line.check_outputs(arguments)
        if arguments.command == "case":
            return case_command.run(arguments, console)
        if arguments.command == "life":
            return life_command.run(arguments, console)
        options = options_from(arguments)
        if arguments.metrics_port:
            _serve_metrics(arguments.metrics_port)
        result = asyncio.run(_attach(options, console, quiet=arguments.quiet))
        _tell(result, arguments, console)
    except ConfigError as e:
        errors.print(f"enb-app: {e}", markup=False)
        return BROKEN
    except RunBrokeError as e:
        errors.print(f"enb-app: the run broke: {e}", markup=False)
        return BROKEN
    except OSError as e:
        errors.print(f"enb-app: cannot write {e.filename}: {e.strerror}", markup=False)
        return BROKEN
    except KeyboardInterrupt:
        errors.print("enb-app: interrupted", markup=False)
        return _INTERRUPTED
    return result.exit_code


def _serve_metrics(port: int) -> None:
    try:
        start_http_server(port, "127.0.0.1")
    except (OSError, OverflowError) as e:
        raise ConfigError("--metrics-port", f"{port} cannot be listened on: {e}") from e


async def _attach(options: AttachOptions, console: Console, *, quiet: bool) -> Result:
    if quiet:
        return await attach(options)
    with report.progress(console, options.ues) as on_outcome:
        return await attach(options, on_outcome)


def _tell(result: Result, arguments: argparse.Namespace, console: Console) -> None:
    if arguments.ladder:
        report.print_ladder(console, result.outcomes[0])
    if not arguments.quiet:
        report.print_tables(console, result)
    if arguments.json is not None:
        report.write_json(result, arguments.json)
    if arguments.report is not None:
        path = report.write_html(result, arguments.report)
        console.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
