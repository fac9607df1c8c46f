"""Bring a lab up, take it down, and say how it stands."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.lab import artefacts, cgroups, images, machine, network, oci, services
from tests.lab.artefacts import HELM, KUBERNETES
from tests.lab.cluster import control_plane, credentials, dns, node
from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster, eventually
from tests.lab.plan import ClusterPlan, LabPlan, cache_folder
from tests.lab.progress import say, step

_READY_S = 180


def up(lab: LabPlan) -> None:
    """Make what is missing and start everything; a lab that runs already is left alone.

    Remains of a crash are cleared away first.  Raises LabError with the cure.
    """
    check_machine()
    with _alone(lab):
        if not faults(lab):
            say(f"the lab runs already ({lab.state})")
            return
        artefacts.provide()
        pause, coredns = images.pause(), images.coredns()
        if remains(lab):
            with step("clearing away an earlier lab"):
                _clear(lab)
        network.check_free(lab)
        try:
            with step("network and registry"):
                lab.state.mkdir(mode=0o700)
                network.create(lab)
                path, libraries = artefacts.node_paths()
                machine.start(lab.hub, lab.hub_folder, services.daemons(lab), path, libraries)
                eventually(lambda: _answers(f"http://{lab.registry}/v2/"), "the registry", within_s=_READY_S)
                pause_image, coredns_image = oci.push(pause, lab.registry), oci.push(coredns, lab.registry)
            with step("clusters", usual="20 s"), ThreadPoolExecutor() as pool:
                starts = [
                    pool.submit(_start_cluster, lab, cluster, pause_image, coredns_image) for cluster in lab.clusters
                ]
                for start in starts:
                    start.result()
            with step("S3 server"):
                eventually(lambda: _answers(lab.s3_endpoint), "the S3 server", within_s=_READY_S)
        except LabError as error:
            raise LabError(
                f"{error}\nLogs are in {lab.state}/*/log; `make lab-down` clears everything away."
            ) from error


def down(lab: LabPlan) -> None:
    """Leave nothing behind; a lab that is not there is no error."""
    check_machine()
    with _alone(lab):
        if not remains(lab):
            say("no lab runs here")
            return
        with step("taking the lab down"):
            _clear(lab)
        left = remains(lab)
        if left:
            raise LabError(f"these are still there: {', '.join(left)}; run make lab-down again")


def faults(lab: LabPlan) -> list[str]:
    """Say what does not work, one sentence each; empty when the lab is whole."""
    found: list[str] = []
    for name, folder in [(lab.hub, lab.hub_folder), *((one.name, one.folder) for one in lab.clusters)]:
        try:
            state = machine.control(folder, "status")
        except LabError:
            found.append(f"{name} does not run")
            continue
        found += [f"{name}: {daemon} is not running" for daemon, one in state.items() if not one["running"]]
    if found:
        return found
    if not _answers(f"http://{lab.registry}/v2/"):
        found.append(f"the registry at {lab.registry} does not answer")
    if not _answers(lab.s3_endpoint):
        found.append(f"the S3 server at {lab.s3_endpoint} does not answer")
    for plan in lab.clusters:
        cluster = Cluster(plan.name, plan.kubeconfig)
        try:
            cluster.kubectl("wait", "--for=condition=Ready", f"node/{plan.name}", "--timeout=1s", timeout_s=20)
        except LabError as error:
            found.append(f"{plan.name} is not Ready: {error}")
    return found


def remains(lab: LabPlan) -> list[str]:
    """Name everything of this lab that exists on the machine: namespaces, cgroups, links, its state folder."""
    found = [f"network namespace {name}" for name in sorted(set(lab.namespaces) & network.namespaces())]
    found += [f"cgroup {path}" for cluster in lab.clusters for path in cgroups.left(cluster.name)]
    if Path(f"/sys/class/net/{lab.prefix}-host").exists():
        found.append(f"link {lab.prefix}-host")
    if lab.state.exists():
        found.append(f"folder {lab.state}")
    return found


def environment(lab: LabPlan) -> dict[str, str]:
    """Give what the tests, and people, set to use this lab."""
    return {
        "LAB_KUBECONFIGS": ",".join(
            f"{letter}={plan.kubeconfig}" for letter, plan in zip("ab", lab.clusters, strict=True)
        ),
        "LAB_REGISTRY": lab.registry,
        "LAB_S3": lab.s3_endpoint,
        "LAB_S3_ACCESS_KEY_FILE": str(lab.s3_access_key_file),
        "LAB_S3_SECRET_KEY_FILE": str(lab.s3_secret_key_file),
        "LAB_HOST_ADDRESS": lab.host_address,
        "LAB_HELM": str(artefacts.program(HELM, "helm")),
        "LAB_KUBECTL": str(artefacts.program(KUBERNETES, "kubectl")),
    }


def check_machine() -> None:
    """Raise LabError, in one line, when this machine cannot carry a lab."""
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and mounts: run it as root (sudo make ...)")
    if not Path("/etc/debian_version").exists():
        raise LabError("the lab is made of Debian packages: run it on Debian 12, or on a virtual machine with it")
    missing = machine.programs("ip", "nsenter", "unshare", "mount", "apt-get", "dpkg-deb", "wget", "go")
    if missing:
        raise LabError(f"not found here: {', '.join(missing)}; install iproute2, util-linux, wget and Go 1.26 or later")
    if "overlay" not in Path("/proc/filesystems").read_text():
        raise LabError("this kernel has no overlay file system: load it (modprobe overlay)")


def _start_cluster(lab: LabPlan, plan: ClusterPlan, pause_image: str, coredns_image: str) -> None:
    cgroups.make(plan.name)
    given = credentials.create(plan)
    daemons = [*control_plane.daemons(plan, given), *node.daemons(plan, given, lab.registry, pause_image)]
    path, libraries = artefacts.node_paths()
    machine.start(plan.name, plan.folder, daemons, path, libraries)
    cluster = Cluster(plan.name, plan.kubeconfig)
    eventually(lambda: cluster.kubectl("get", "--raw=/readyz") == "ok", f"{plan.name}'s API server", within_s=_READY_S)
    cluster.apply(*dns.objects(lab, plan, coredns_image))
    cluster.wait("--for=condition=Ready", f"node/{plan.name}", within_s=_READY_S)
    cluster.wait("-n", "kube-system", "--for=condition=Available", "deployment/coredns", within_s=_READY_S)
    say(f"{plan.name} is ready")


def _clear(lab: LabPlan) -> None:
    folders = [(plan.name, plan.folder) for plan in lab.clusters]
    for name, folder in [*folders, (lab.hub, lab.hub_folder)]:
        machine.stop(name, folder)
    network.remove(lab)
    shutil.rmtree(lab.state, ignore_errors=True)


def _answers(url: str) -> bool:
    try:
        requests.get(url, timeout=2)
    except requests.RequestException:
        return False
    return True


@contextlib.contextmanager
def _alone(lab: LabPlan) -> Iterator[None]:
    """Let one command at a time work on a lab, whichever clone it comes from."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{lab.prefix}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("waiting for another command on this lab to end"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
