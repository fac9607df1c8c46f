"""What stands beside the clusters, in the hub's namespace: the OCI registry and the S3 server."""

import json
import secrets

import yaml

from tests.lab import artefacts
from tests.lab.artefacts import S3
from tests.lab.authority import write_secret
from tests.lab.machine import Daemon
from tests.lab.plan import S3_PORT, LabPlan


def daemons(lab: LabPlan) -> list[Daemon]:
    """Write the services' configuration, with new S3 keys, and give their daemons."""
    return [_registry(lab), _s3(lab)]


def _registry(lab: LabPlan) -> Daemon:
    folder = lab.hub_folder / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": lab.registry, "secret": secrets.token_hex(16)},
    }
    write_secret(folder / "config.yml", yaml.safe_dump(configuration).encode())
    return Daemon("registry", ["docker-registry", "serve", str(folder / "config.yml")])


def _s3(lab: LabPlan) -> Daemon:
    folder = lab.hub_folder / "s3"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    access_key, secret_key = secrets.token_hex(10), secrets.token_hex(20)
    write_secret(lab.s3_access_key_file, access_key.encode())
    write_secret(lab.s3_secret_key_file, secret_key.encode())
    identities = [
        {
            "name": "lab",
            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
    write_secret(folder / "identities.json", json.dumps({"identities": identities}).encode())
    return Daemon(
        "s3",
        [
            str(artefacts.program(S3, "weed")),
            "server",
            f"-dir={folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
            # Each bucket takes seven volumes with its first object; a volume takes disk only as it fills.
            "-volume.max=1400",
            "-volume.minFreeSpace=1",
            "-filer=true",
            "-s3",
            f"-s3.ip.bind={lab.hub_address}",
            f"-s3.port={S3_PORT}",
            f"-s3.config={folder / 'identities.json'}",
        ],
    )
