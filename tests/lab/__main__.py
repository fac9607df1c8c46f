"""`python -m tests.lab up | down | status | env | test`: two real one-node Kubernetes clusters on this machine.

docs/lab.md says what they are made of and how tests use them.
"""

import argparse
import shlex
import sys

from tests.lab import lab, machine, parts
from tests.lab.errors import LabError
from tests.lab.plan import LabPlan


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab",
        description="Two one-node Kubernetes clusters, an OCI registry and an S3 server on this machine. Needs root.",
    )
    parser.add_argument("--prefix", help="first part of every name (default: LAB_PREFIX, or edge)")
    parser.add_argument("--octet", type=int, help="the lab lives in 10.OCTET.0.0/16 (default: LAB_OCTET, or 203)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="start it; the first time everything is built, which takes some minutes")
    commands.add_parser("down", help="end it and leave nothing behind")
    commands.add_parser("status", help="say what runs; ends with 1 when something does not work")
    commands.add_parser("env", help='print export lines: eval "$(python -m tests.lab env)"')
    test = commands.add_parser("test", help="run the tests that need it, in their parts; 1 when one is red")
    test.add_argument("words", nargs="*", help="more arguments for pytest, after --", metavar="WORD")
    for do, said in (("stop", "SIGTERM"), ("kill", "SIGKILL"), ("start", "start again")):
        command = commands.add_parser(do, help=f"{said}: one daemon of one namespace, for fault tests")
        command.add_argument("namespace", help="edge-a, edge-b or edge-hub")
        command.add_argument("daemon", help="for example kube-apiserver; `status` names them")
    chosen = parser.parse_args(argv)
    given = {"prefix": chosen.prefix, "octet": chosen.octet}
    plan = LabPlan(**{name: value for name, value in given.items() if value is not None})
    try:
        match chosen.command:
            case "up":
                lab.up(plan)
                _print_use(plan)
            case "down":
                lab.down(plan)
            case "status":
                return _print_status(plan)
            case "env":
                for name, value in lab.environment(plan).items():
                    sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
            case "test":
                return parts.run(["tests/lab", *chosen.words])
            case do:
                machine.control(plan.state / chosen.namespace, do, chosen.daemon)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _print_use(plan: LabPlan) -> None:
    for name, value in lab.environment(plan).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def _print_status(plan: LabPlan) -> int:
    for folder in (plan.hub_folder, *(cluster.folder for cluster in plan.clusters)):
        if not machine.is_running(folder):
            continue
        for name, one in machine.control(folder, "status").items():
            how = "running" if one["running"] else f"not running (last exit {one['last_exit']})"
            sys.stdout.write(f"{folder.name:10} {name:26} {how:30} starts {one['starts']}\n")
    faults = lab.faults(plan)
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    sys.stdout.write("the lab is whole\n" if not faults else "make lab-up repairs it\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
