"""What the driver may do again by itself, and how long it waits."""

from __future__ import annotations

from typing import Any, Final

from cassandra.policies import RetryPolicy

CLIENT_TIMEOUT_S: Final = 4.5
"""Longer than the server's own: cas_contention_timeout (1.8 s) and write_request_timeout (2 s) one after the other."""
CONNECT_TIMEOUT_S: Final = 2.0
COMMAND_CONNECT_TIMEOUT_S: Final = 15.0
"""Of command lines: a node that has just begun to serve is slow."""
COMMAND_STATEMENT_S: Final = 60.0


NO_CONNECTION_PAUSES_S: Final = (0.1, 0.2, 0.4)
"""Before each further try of what found no connection: together longer than a lost node's first pause, 0.5 s."""


class NeverAgain(RetryPolicy):  # type: ignore[misc]
    """For conditional writes: every failure goes to the caller, also one that another host might not have."""

    def on_read_timeout(self, *_: Any, **__: Any) -> tuple[int, None]:
        return self.RETHROW, None

    def on_write_timeout(self, *_: Any, **__: Any) -> tuple[int, None]:
        return self.RETHROW, None

    def on_unavailable(self, *_: Any, **__: Any) -> tuple[int, None]:
        return self.RETHROW, None

    def on_request_error(self, *_: Any, **__: Any) -> tuple[int, None]:
        return self.RETHROW, None


class OnceMore(RetryPolicy):  # type: ignore[misc]
    """For reads and timer writes, which are idempotent: one more try, on another host."""

    def _once(self, retry_num: int) -> tuple[int, None]:
        return (self.RETRY_NEXT_HOST if retry_num == 0 else self.RETHROW), None

    def on_read_timeout(self, *_: Any, retry_num: int = 0, **__: Any) -> tuple[int, None]:
        return self._once(retry_num)

    def on_write_timeout(self, *_: Any, retry_num: int = 0, **__: Any) -> tuple[int, None]:
        return self._once(retry_num)

    def on_unavailable(self, *_: Any, retry_num: int = 0, **__: Any) -> tuple[int, None]:
        return self._once(retry_num)

    def on_request_error(self, *_: Any, retry_num: int = 0, **__: Any) -> tuple[int, None]:
        return self._once(retry_num)
