"""The two clusters: pods run, names resolve, services answer, and neither cluster is part of the other."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import images, oci
from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster, eventually, pod
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

Publish = Callable[[oci.Image], str]
READY_S = 120


def run_pod(cluster: Cluster, namespace: str, name: str, image: str, **more: Any) -> str:
    """Start a pod, wait until it is Ready and give its address."""
    document = pod(name, image, **more)
    document["metadata"]["namespace"] = namespace
    cluster.apply(document)
    cluster.wait("-n", namespace, "--for=condition=Ready", f"pod/{name}", within_s=READY_S)
    return str(cluster.get("pod", name, namespace=namespace)["status"]["podIP"])


def fetch(cluster: Cluster, namespace: str, name: str, url: str) -> str:
    """Give what a server answers to a pod; a server that refuses with a status has answered too."""
    program = (
        "import sys, urllib.request, urllib.error\n"
        "try: print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    return cluster.exec(name, "python3", "-c", program, url, namespace=namespace).strip()


def welcomes(cluster: Cluster, namespace: str, url: str) -> None:
    """Wait until nginx answers the pod `client`: a container runs some time before its server listens."""
    eventually(lambda: "nginx" in fetch(cluster, namespace, "client", url), f"{url} to answer", within_s=60)


@pytest.fixture
def service(site: Site, namespace: str, published: Publish) -> str:
    """Give the name of a Service on edge-a with nginx behind it, and a pod `client` beside it."""
    run_pod(site.a, namespace, "web", published(images.nginx()))
    run_pod(site.a, namespace, "client", published(images.debian()))
    site.a.kubectl("-n", namespace, "expose", "pod", "web", "--port=80")
    return "web"


def test_both_nodes_are_ready_and_of_the_version_named(site: Site) -> None:
    for number, cluster in enumerate(site.clusters):
        (node,) = cluster.get("nodes")["items"]
        ready = {one["type"]: one["status"] for one in node["status"]["conditions"]}["Ready"]
        assert ready == "True"
        version = json.loads(cluster.kubectl("version", "-o", "json"))
        assert version["serverVersion"]["gitVersion"] == node["status"]["nodeInfo"]["kubeletVersion"]
        if site.plan is not None:
            named = (site.plan.clusters[number].name, "v1.34.4")
            assert (node["metadata"]["name"], version["serverVersion"]["gitVersion"]) == named


def test_a_pod_runs_on_each_cluster_from_the_labs_registry(site: Site, namespace: str, published: Publish) -> None:
    image = published(images.debian())
    assert image.startswith(site.registry)
    for cluster in site.clusters:
        run_pod(cluster, namespace, "alone", image)
        assert cluster.exec("alone", "python3", "-c", "print(6 * 7)", namespace=namespace).strip() == "42"


def test_a_service_answers_by_name_and_by_address(site: Site, namespace: str, service: str) -> None:
    address = site.a.get("service", service, namespace=namespace)["spec"]["clusterIP"]
    for host in (f"{service}.{namespace}.svc.cluster.local", service, address):
        welcomes(site.a, namespace, f"http://{host}/")


def test_the_labs_own_names_resolve_and_other_names_do_not_exist(
    site: Site, namespace: str, published: Publish
) -> None:
    if site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters with a DNS of their own")
    run_pod(site.b, namespace, "client", published(images.debian()))
    program = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"
    for name, address in (("registry.lab", site.plan.hub_address), ("host.lab", site.plan.host_address)):
        assert site.b.exec("client", "python3", "-c", program, name, namespace=namespace).strip() == address
    # "not known" is NXDOMAIN's; a server that fails says "Temporary failure", and callers would try again.
    with pytest.raises(LabError, match="Name or service not known"):
        site.b.exec("client", "python3", "-c", program, "www.example.com", namespace=namespace)


def test_the_clusters_do_not_see_each_others_pods(site: Site, namespace: str, published: Publish) -> None:
    address = run_pod(site.a, namespace, "web", published(images.nginx()))
    for cluster in site.clusters:
        run_pod(cluster, namespace, "client", published(images.debian()))

    welcomes(site.a, namespace, f"http://{address}/")
    with pytest.raises(LabError, match=r"timed out|No route to host|unreachable|refused"):
        fetch(site.b, namespace, "client", f"http://{address}/")
    names = {item["metadata"]["name"] for item in site.b.get("pods", namespace=namespace)["items"]}
    assert names == {"client"}


def test_pods_reach_registry_s3_the_host_and_the_other_clusters_api_server(
    site: Site, namespace: str, published: Publish, host_server: int
) -> None:
    for cluster, other in ((site.a, site.b), (site.b, site.a)):
        run_pod(cluster, namespace, "client", published(images.debian()))
        assert fetch(cluster, namespace, "client", f"http://{site.registry}/v2/") == "{}"
        assert fetch(cluster, namespace, "client", f"{site.s3_endpoint}/") in {"403", "400"}
        assert fetch(cluster, namespace, "client", f"http://{site.host_address}:{host_server}/") == "from the host"
        server = other.kubectl("config", "view", "--output=jsonpath={.clusters[0].cluster.server}")
        host, _, port = server.removeprefix("https://").partition(":")
        program = f"import socket; socket.create_connection(('{host}', {port}), timeout=5); print('open')"
        assert cluster.exec("client", "python3", "-c", program, namespace=namespace).strip() == "open"


@pytest.fixture
def host_server(site: Site) -> Iterator[int]:
    """Serve "from the host" on the host's address towards the lab, on a port the system chose."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from the host")

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with http.server.ThreadingHTTPServer((site.host_address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_changed_configmap_reaches_an_annotated_pod_long_before_kubelets_period(
    site: Site, namespace: str, published: Publish
) -> None:
    def write(value: str) -> None:
        site.a.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "settings", "namespace": namespace},
                "data": {"value": value},
            }
        )

    write("first")
    document = pod("reader", published(images.debian()), volumes=[{"name": "s", "configMap": {"name": "settings"}}])
    document["metadata"]["namespace"] = namespace
    document["spec"]["containers"][0]["volumeMounts"] = [{"name": "s", "mountPath": "/settings"}]
    site.a.apply(document)
    site.a.wait("-n", namespace, "--for=condition=Ready", "pod/reader", within_s=READY_S)
    assert site.a.exec("reader", "cat", "/settings/value", namespace=namespace) == "first"

    write("second")
    begin = time.monotonic()
    site.a.kubectl("-n", namespace, "annotate", "pod", "reader", "changed=1")
    eventually(
        lambda: site.a.exec("reader", "cat", "/settings/value", namespace=namespace) == "second",
        "the new value in the pod",
        within_s=30,
    )
    # kubelet syncs an untouched pod every 60 to 90 s; measured with the annotation 0.3 to 0.7 s on an idle machine.
    assert time.monotonic() - begin < 30


def test_logs_and_a_shared_process_namespace_work(site: Site, namespace: str, published: Publish) -> None:
    document = pod("talker", published(images.debian()), command=["/bin/sh", "-c", "echo said; exec sleep infinity"])
    document["metadata"]["namespace"] = namespace
    document["spec"]["shareProcessNamespace"] = True
    site.b.apply(document)
    site.b.wait("-n", namespace, "--for=condition=Ready", "pod/talker", within_s=READY_S)
    assert site.b.kubectl("-n", namespace, "logs", "talker") == "said\n"
    # An orphan ends up with the pause process, which has to reap it.
    site.b.exec("talker", "sh", "-c", "(sleep 0.1 &)", namespace=namespace)
    states = "cat /proc/[0-9]*/stat | sed 's/.*) //' | cut -c1 | sort | uniq -c"
    eventually(
        lambda: "Z" not in site.b.exec("talker", "sh", "-c", states, namespace=namespace), "no zombie", within_s=20
    )
    assert site.b.exec("talker", "cat", "/proc/1/comm", namespace=namespace).strip() == "pause"
