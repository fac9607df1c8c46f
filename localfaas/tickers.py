"""Programs beside the functions, which call a function when something of it is due: timers, steps.

On a cluster such a program is a deployment of its own. Here a function's annotation names its module, so that
`localfaas up` is a whole system by itself.
"""

import asyncio
import contextlib
import sys

from localfaas.deployments import Deployment
from localfaas.functionlogs import FunctionLog, capture
from localfaas.replicas import Launch, die_with_parent

ANNOTATION = "edge.ticker"
"""Its value is a module: `python -m MODULE --gateway URL`, with the function's environment, files and secrets, and its
store_url as STORE_URL."""

_RESTART_DELAYS_S = (0.1, 0.5, 2.0, 5.0, 30.0)
"""Before the 1st, 2nd ... restart of a ticker that ended within _SETTLED_S; the last one repeats."""
_SETTLED_S = 60.0
_STOP_S = 10.0


class Ticker:
    """One such program, and its successors. Its lines are among those of its function, under the module's name."""

    def __init__(self, module: str, launch: Launch, gateway: str, log: FunctionLog) -> None:
        self.module = module
        self._argv = (sys.executable, "-m", module, "--gateway", gateway)
        self._launch = launch
        self._log = log
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, deployment: Deployment, gateway: str) -> "Ticker | None":
        """The one that the function's annotation names; None: it needs none. gateway: its URL."""
        module = deployment.spec.annotations.get(ANNOTATION)
        return cls(module, deployment.replicas.launch, gateway, deployment.replicas.log) if module else None

    def start(self) -> None:
        """Start it, and another when it ends, until `close`."""
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Stop it by SIGTERM, after _STOP_S by SIGKILL."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    async def _keep(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            begin = loop.time()
            code = await self._run()
            failures = 0 if loop.time() - begin > _SETTLED_S else failures + 1
            delay = _RESTART_DELAYS_S[min(failures, len(_RESTART_DELAYS_S)) - 1] if failures else 0.0
            self._log.add(self.module, f"localfaas: ticker ended with {code}, starting another after {delay:g} s")
            await asyncio.sleep(delay)

    async def _run(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._argv,
            cwd=self._launch.tree.folder,
            env=self._launch.beside(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        if process.stdout is None:
            raise AssertionError("the output is a pipe")
        output = asyncio.create_task(capture(process.stdout, self.module, self._log))
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), _STOP_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()
            await output
        return code
