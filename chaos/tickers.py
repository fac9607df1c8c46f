"""The ticker as a process that can be paused, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from laptop.site import ROOT, Site

STOP_S = 10


class TickerProcess:
    """gateway: its URL.  What it writes goes to ticker.log in the site's folder."""

    def __init__(self, site: Site, gateway: str) -> None:
        self._site = site
        self._command = [sys.executable, "-m", "mme.ticker", "--gateway", gateway, "--store", site.store_url]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self._site.folder / "ticker.log"

    def start(self) -> None:
        """Nothing where it runs."""
        if self._process is not None:
            return
        environment = {**os.environ, "EDGE_SECRETS_DIR": str(self._site.secrets), "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def kill(self) -> None:
        """Without notice: it gives no lease back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let it give its leases back."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
