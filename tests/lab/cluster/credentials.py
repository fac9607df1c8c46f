"""Who may talk to whom in one cluster: its authority, the certificates and the kubeconfig files."""

import base64
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.lab.authority import Authority, key_pair, write_secret
from tests.lab.plan import CLUSTER_DOMAIN, ClusterPlan


@dataclass(frozen=True)
class Credentials:
    """Files.  Pairs are (certificate, key), service_account is (public, private); the rest are kubeconfig files."""

    authority: Path
    authority_key: Path
    api_server: tuple[Path, Path]
    api_server_to_kubelet: tuple[Path, Path]
    kubelet_server: tuple[Path, Path]
    service_account: tuple[Path, Path]
    admin: Path
    controller_manager: Path
    scheduler: Path
    kubelet: Path
    proxy: Path


def create(plan: ClusterPlan) -> Credentials:
    """Make everything anew in the cluster's folder."""
    folder = plan.folder / "pki"
    authority = Authority(folder, f"{plan.name} lab authority")
    service = f"kubernetes.default.svc.{CLUSTER_DOMAIN}"
    names = [service, "kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost", plan.name]

    def kubeconfig(name: str, user: str, group: str, path: Path | None = None) -> Path:
        certificate, key = authority.issue(name, user, group)
        target = path or plan.folder / "kubeconfigs" / name
        write_secret(target, _kubeconfig(plan, authority.certificate, certificate, key).encode())
        return target

    return Credentials(
        authority=authority.certificate,
        authority_key=authority.key,
        api_server=authority.issue(
            "api-server",
            "kube-apiserver",
            hosts=[*names, plan.node_address, plan.api_service_address, "127.0.0.1"],
        ),
        api_server_to_kubelet=authority.issue("api-server-to-kubelet", "kube-apiserver-kubelet", "system:masters"),
        kubelet_server=authority.issue(
            "kubelet-server", f"system:node:{plan.name}", "system:nodes", hosts=[plan.name, plan.node_address]
        ),
        service_account=key_pair(folder, "service-account"),
        admin=kubeconfig("admin", "lab-admin", "system:masters", plan.kubeconfig),
        controller_manager=kubeconfig("controller-manager", "system:kube-controller-manager", ""),
        scheduler=kubeconfig("scheduler", "system:kube-scheduler", ""),
        kubelet=kubeconfig("kubelet", f"system:node:{plan.name}", "system:nodes"),
        proxy=kubeconfig("kube-proxy", "system:kube-proxy", ""),
    )


def _kubeconfig(plan: ClusterPlan, authority: Path, certificate: Path, key: Path) -> str:
    """Give a kubeconfig with everything inside, so that the file may be copied elsewhere (a function's secret)."""

    def inline(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": plan.name,
                "cluster": {"server": plan.api_url, "certificate-authority-data": inline(authority)},
            }
        ],
        "users": [
            {
                "name": plan.name,
                "user": {"client-certificate-data": inline(certificate), "client-key-data": inline(key)},
            }
        ],
        "contexts": [{"name": plan.name, "context": {"cluster": plan.name, "user": plan.name}}],
        "current-context": plan.name,
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text
