"""The images of charts/edge-platform for the lab: edge-tools with the content of its Dockerfile, and a Cassandra."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from cassandra_lab import jars, node
from tests.lab import images, oci, python_layers
from tests.lab.documented import ROOT
from tests.lab.plan import cache_folder
from tools import images as ours

_FOLDER: Final = Path(__file__).with_name("cassandra_image")
_LIBRARIES: Final = "/opt/cassandra/lib"


def edge_tools() -> oci.Image:
    """What images/edge-tools/Dockerfile makes, on Debian's Python: wheels, our packages, `edge`; user 1000."""
    with tempfile.TemporaryDirectory() as scratch:
        (folder,) = (image.folder for image in ours.laid_out("lab", "lab", Path(scratch)) if image.name == ours.TOOLS)
        return images.build(
            ours.TOOLS,
            packages=["python-is-python3"],
            layers=[
                python_layers.wheels(folder / "requirements.txt"),
                python_layers.code("/home/app", folder / "packages"),
            ],
            files={"/usr/local/bin/edge": (folder / "edge.sh").read_text()},
            command=["edge", "--help"],
            environment={"PYTHONPATH": "/home/app", "PYTHONUNBUFFERED": "1"},
            user="1000:1000",
            folder="/home/app",
        )


def cassandra() -> oci.Image:
    """Cassandra, driven as the official image is: the same variables, folders, user, `nodetool`, `cqlsh -e`.

    The distribution is in no package registry: the jars are Maven's, and what starts them is ours.
    """
    classpath = jars.classpath(cache_folder() / "cassandra", lambda _: None)
    return images.build(
        "cassandra",
        packages=["openjdk-17-jre-headless"],
        layers=[python_layers.wheels(ROOT / "images/edge-tools/requirements.txt")],  # cqlsh's driver is one of them
        files={
            **{f"{_LIBRARIES}/{Path(jar).name}": Path(jar) for jar in classpath.split(":")},
            "/etc/cassandra/jvm.options": "\n".join(node.MODULES) + "\n",
            "/etc/cassandra/cassandra.yaml": (_FOLDER / "cassandra.yaml").read_text(),
            "/etc/cassandra/logback.xml": (_FOLDER / "logback.xml").read_text(),
            "/usr/local/bin/docker-entrypoint.sh": (_FOLDER / "start.py").read_text(),
            "/usr/local/bin/nodetool": (_FOLDER / "nodetool.sh").read_text(),
            "/usr/local/bin/cqlsh": (_FOLDER / "cqlsh.py").read_text(),
        },
        entrypoint=["/usr/local/bin/docker-entrypoint.sh"],
        user="999:999",
    )
