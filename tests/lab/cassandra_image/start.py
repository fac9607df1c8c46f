#!/usr/bin/python3
"""Start Cassandra as the official image's entry point does: CASSANDRA_* become /etc/cassandra, then the node.

Unlike there Java is started right here, since bin/cassandra comes with the distribution only.
"""

import json
import os
import re
import socket
from pathlib import Path

CONFIGURATION = Path("/etc/cassandra")
DATA = "/var/lib/cassandra"
JMX_PORT = 7199
RING_DELAY_MS = 10_000  # 30 s would be needed among machines


def main() -> None:
    told = {name.removeprefix("CASSANDRA_"): value for name, value in os.environ.items()}
    address = told.get("LISTEN_ADDRESS") or socket.gethostbyname(socket.gethostname())
    settings = {
        "cluster_name": told.get("CLUSTER_NAME", "Test Cluster"),
        "num_tokens": int(told.get("NUM_TOKENS", "16")),
        # As the distribution's own file has it: a node that joins chooses its tokens by what the others have.
        "allocate_tokens_for_local_replication_factor": 3,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": told.get("ENDPOINT_SNITCH", "SimpleSnitch"),
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": told.get("SEEDS", address)}],
            }
        ],
        "listen_address": address,
        "broadcast_address": told.get("BROADCAST_ADDRESS", address),
        "rpc_address": "0.0.0.0",  # noqa: S104  all of the pod's, and nothing else
        "broadcast_rpc_address": told.get("BROADCAST_ADDRESS", address),
        "data_file_directories": [f"{DATA}/data"],
        "commitlog_directory": f"{DATA}/commitlog",
        "saved_caches_directory": f"{DATA}/saved_caches",
        "hints_directory": f"{DATA}/hints",
        "cdc_raw_directory": f"{DATA}/cdc_raw",
        "authenticator": "AllowAllAuthenticator",
        "authorizer": "AllowAllAuthorizer",
        # A node of the lab shares two cores and its disk with two clusters.
        "commitlog_total_space": "256MiB",
        "commitlog_segment_size": "16MiB",
        "concurrent_compactors": 1,
        "native_transport_max_threads": 64,
    }
    # JSON is YAML, and this Python has nothing that writes the latter.  A restarted container finds its own lines.
    path = CONFIGURATION / "cassandra.yaml"
    others = [line for line in path.read_text().splitlines() if line.partition(":")[0] not in settings]
    path.write_text("\n".join([*others, *(f"{name}: {json.dumps(value)}" for name, value in settings.items()), ""]))
    (CONFIGURATION / "cassandra-rackdc.properties").write_text(f"dc={told.get('DC', 'dc1')}\nrack=rack1\n")
    # Before it serves a node waits 8 s or more until nothing new comes by gossip; a single one hears from nobody.
    seeds = told.get("SEEDS", address)
    is_single = seeds in {address, socket.gethostname()} or re.fullmatch(rf"{socket.gethostname()}\.[^,]*", seeds)
    alone = ["-Dcassandra.skip_wait_for_gossip_to_settle=0"] if is_single else []
    heap = os.environ.get("MAX_HEAP_SIZE", "512M")
    argv = [
        "java",
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        # Of a lab's two cores the second compiler takes a third of what a node's first minute costs, for a speed that
        # nobody here measures.
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djdk.attach.allowAttachSelf=true",
        f"@{CONFIGURATION}/jvm.options",
        "-Dcassandra-foreground=yes",
        f"-Dcassandra.config=file://{CONFIGURATION}/cassandra.yaml",
        f"-Dlogback.configurationFile={CONFIGURATION}/logback.xml",
        f"-Dcassandra.jmx.local.port={JMX_PORT}",
        f"-Dcassandra.storagedir={DATA}",
        f"-Dcassandra.ring_delay_ms={RING_DELAY_MS}",
        "-Djava.io.tmpdir=/tmp",
        *alone,
        *os.environ.get("JVM_EXTRA_OPTS", "").split(),
        "-cp",
        f"{CONFIGURATION}:/opt/cassandra/lib/*",
        "org.apache.cassandra.service.CassandraDaemon",
    ]
    os.execvp(argv[0], argv)  # noqa: S606  it becomes the container's process


if __name__ == "__main__":
    main()
