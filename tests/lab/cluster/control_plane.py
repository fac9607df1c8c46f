"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler of one cluster."""

from tests.lab import artefacts
from tests.lab.artefacts import KUBERNETES
from tests.lab.cluster.credentials import Credentials
from tests.lab.machine import Daemon
from tests.lab.plan import API_PORT, CLUSTER_DOMAIN, ClusterPlan

_ETCD = "127.0.0.1:2379"


def daemons(plan: ClusterPlan, credentials: Credentials) -> list[Daemon]:
    """Give the control plane's daemons; all but the API server listen on the namespace's loopback only."""
    api = f"{plan.node_address}:{API_PORT}"
    return [
        Daemon("etcd", _etcd(plan)),
        Daemon("kube-apiserver", _api_server(plan, credentials), after=[_ETCD]),
        Daemon("kube-controller-manager", _controller_manager(plan, credentials), after=[api]),
        Daemon("kube-scheduler", _scheduler(credentials), after=[api]),
    ]


def _program(name: str) -> str:
    return str(artefacts.program(KUBERNETES, name))


def _etcd(plan: ClusterPlan) -> list[str]:
    return [
        "etcd",
        f"--name={plan.name}",
        f"--data-dir={plan.folder / 'etcd'}",
        f"--listen-client-urls=http://{_ETCD}",
        f"--advertise-client-urls=http://{_ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        f"--initial-cluster={plan.name}=http://127.0.0.1:2380",
        "--logger=zap",
        "--log-outputs=stderr",
    ]


def _api_server(plan: ClusterPlan, credentials: Credentials) -> list[str]:
    certificate, key = credentials.api_server
    kubelet_certificate, kubelet_key = credentials.api_server_to_kubelet
    public, private = credentials.service_account
    return [
        _program("kube-apiserver"),
        f"--bind-address={plan.node_address}",
        f"--advertise-address={plan.node_address}",
        f"--secure-port={API_PORT}",
        f"--etcd-servers=http://{_ETCD}",
        f"--service-cluster-ip-range={plan.service_range}",
        f"--client-ca-file={credentials.authority}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--kubelet-certificate-authority={credentials.authority}",
        f"--kubelet-client-certificate={kubelet_certificate}",
        f"--kubelet-client-key={kubelet_key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={private}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
    ]


def _controller_manager(plan: ClusterPlan, credentials: Credentials) -> list[str]:
    return [
        _program("kube-controller-manager"),
        f"--kubeconfig={credentials.controller_manager}",
        f"--authentication-kubeconfig={credentials.controller_manager}",
        f"--authorization-kubeconfig={credentials.controller_manager}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={credentials.authority}",
        f"--service-account-private-key-file={credentials.service_account[1]}",
        f"--cluster-signing-cert-file={credentials.authority}",
        f"--cluster-signing-key-file={credentials.authority_key}",
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={plan.pod_range}",
        "--node-cidr-mask-size=24",
        f"--service-cluster-ip-range={plan.service_range}",
        "--profiling=false",
    ]


def _scheduler(credentials: Credentials) -> list[str]:
    return [
        _program("kube-scheduler"),
        f"--kubeconfig={credentials.scheduler}",
        f"--authentication-kubeconfig={credentials.scheduler}",
        f"--authorization-kubeconfig={credentials.scheduler}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    ]
