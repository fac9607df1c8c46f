"""Starting and ending, on a second lab beside the first: nothing stays, twice is fine, a crash is recovered from."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import artefacts, images, lab, machine, oci
from tests.lab.artefacts import NODE
from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster, pod
from tests.lab.plan import LabPlan
from tests.lab.run import run
from tests.lab.site import Site
from tests.lab.test_services import curl

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

TRIAL = LabPlan("trial", 213)
SYSCTLS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/conf/all/route_localnet"),
    *("net/netfilter/nf_conntrack_max", "net/bridge/bridge-nf-call-iptables", "net/ipv4/vs/conntrack"),
)


def host_settings() -> dict[str, str]:
    """Give what belongs to the whole machine and a careless cluster changes: sysctls, routes, firewall rules."""
    found = {}
    for name in SYSCTLS:
        with contextlib.suppress(FileNotFoundError):
            found[name] = Path("/proc/sys", name).read_text()
    found["routes"] = run(["ip", "route", "show", "table", "all"])
    paths, libraries = artefacts.node_paths()
    found["rules"] = run([paths[0] / "nft", "list", "ruleset"], env={"LD_LIBRARY_PATH": str(libraries)})
    return found


def traces(plan: LabPlan) -> list[str]:
    """Give processes, mounts, links and folders of the machine that name this lab."""
    words = (str(plan.state), *plan.namespaces)
    found = lab.remains(plan)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (process / "cmdline").read_text() + (process / "cgroup").read_text()
            if any(word in text for word in words):
                found.append(f"process {process.name}: {text[:80]}")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [line for line in mounts if any(word in line for word in words)]
    links = [link["ifname"] for link in json.loads(run(["ip", "-json", "link", "show"]))]
    found += [name for name in links if name.startswith(plan.prefix)]
    for folder in ("/run", "/var/lib", "/var/log", "/var/lib/cni", "/run/netns", "/usr/libexec/kubernetes"):
        with contextlib.suppress(OSError):
            found += [str(path) for path in Path(folder).iterdir() if path.name.startswith(plan.prefix)]
    return found


@pytest.fixture
def trial(site: Site) -> Iterator[LabPlan]:
    """Give a lab of another name, taken down at the end whatever the test did."""
    if site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters that are not ours to start and end")
    lab.down(TRIAL)
    yield TRIAL
    lab.down(TRIAL)


def crash(plan: LabPlan) -> None:
    """End the supervisors as a crash does, without a word to anybody, and lose a pid file too."""
    for folder in (plan.hub_folder, plan.clusters[0].folder):
        os.kill(int((folder / "pid").read_text().split()[0]), signal.SIGKILL)
    (plan.hub_folder / "pid").unlink()


def folders() -> set[str]:
    """Give what is where daemons leave things of their own."""
    found = {path for parent in ("/run", "/tmp", "/var/lib", "/var/log") for path in Path(parent).iterdir()}  # noqa: S108
    return {str(path) for path in found if any(word in path.name for word in ("kube", "containerd", "cni", "weed"))}


def test_up_after_a_crash_works_and_down_leaves_nothing(trial: LabPlan, site: Site) -> None:
    before, there = host_settings(), folders()

    lab.up(trial)
    cluster = Cluster(trial.clusters[0].name, trial.clusters[0].kubeconfig)
    cluster.apply(pod("worker", oci.push(images.debian(), trial.registry)))
    cluster.wait("--for=condition=Ready", "pod/worker", within_s=120)
    begun = (trial.clusters[1].folder / "pid").read_text()
    lab.up(trial)
    assert (trial.clusters[1].folder / "pid").read_text() == begun, "a running lab was started anew"

    crash(trial)
    assert any("does not run" in fault for fault in lab.faults(trial))
    lab.up(trial)
    assert lab.faults(trial) == []

    lab.down(trial)
    assert traces(trial) == []
    lab.down(trial)
    assert {key: value for key, value in host_settings().items() if before[key] != value} == {}
    assert folders() - there == set()
    # The other lab's S3 server had the same ports, and this one's has to find its own parts still.
    bucket = f"{site.s3_endpoint}/after-{secrets.token_hex(4)}"
    for words in (["-X", "PUT", bucket], ["-T", "/etc/os-release", f"{bucket}/one"], ["-X", "DELETE", f"{bucket}/one"]):
        assert curl(site, *words).returncode == 0, words
    curl(site, "-X", "DELETE", bucket)


def test_a_daemon_that_is_killed_stays_down_until_it_is_started_and_one_that_dies_comes_back(site: Site) -> None:
    if site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters whose daemons are not ours to stop")
    plan = site.plan.clusters[1]
    before = machine.control(plan.folder, "status")["kube-scheduler"]["starts"]
    machine.control(plan.folder, "kill", "kube-scheduler")
    try:
        machine.wait_for(plan.folder, "kube-scheduler", running=False)
    finally:
        machine.control(plan.folder, "start", "kube-scheduler")
    machine.wait_for(plan.folder, "kube-scheduler", running=True)
    assert machine.control(plan.folder, "status")["kube-scheduler"]["starts"] == before + 1

    with pytest.raises(LabError, match="kube-nothing"):
        machine.control(plan.folder, "kill", "kube-nothing")


def test_the_programs_of_the_node_are_those_of_the_cache(site: Site) -> None:
    # Debian packages are unpacked, not installed: nothing of the lab starts with the machine.
    if site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters elsewhere")
    pid = int((site.plan.clusters[0].folder / "pid").read_text().split()[0])
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert any(entry.startswith(f"PATH={artefacts.folder(NODE)}/usr/sbin:") for entry in environment)
