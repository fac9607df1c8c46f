"""What a pod reaches: connections that it tries itself, by a program that runs in it as long as it is asked."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster

Address = tuple[str, int]

# Of each line a list of [address, port], and one line of what became of them.
_PROGRAM: Final = """
import concurrent.futures, json, socket, sys

def tried(where):
    try:
        socket.create_connection(tuple(where), timeout=10).close()
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return type(error).__name__

with concurrent.futures.ThreadPoolExecutor(20) as pool:
    for line in sys.stdin:
        print(json.dumps(list(pool.map(tried, json.loads(line)))), flush=True)
"""


@dataclass(frozen=True)
class Prober:
    """A pod that can be asked what it reaches."""

    process: subprocess.Popen[str]

    def ask(self, addresses: Sequence[Address]) -> list[str]:
        """Try TCP connections to all at once: for each "open", "refused", or another error's name."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(addresses) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise LabError("the program that tries connections in the pod has ended")
        found: list[str] = json.loads(line)
        return found


@contextlib.contextmanager
def prober(cluster: Cluster, namespace: str, pod: str) -> Iterator[Prober]:
    """Run the program in this pod, which has Python, until the block ends."""
    argv = cluster.argv("exec", "-i", "-n", namespace, pod, "--", "python3", "-u", "-c", _PROGRAM)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Prober(process)
        finally:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.terminate()
