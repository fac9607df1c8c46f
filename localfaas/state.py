"""The state directory: how invoke, logs, list and kill find the gateway that `up` started."""

import os
import secrets
from pathlib import Path

import msgspec

from localfaas.errors import LocalfaasError, NotRunningError

DEFAULT_DIR = Path(".localfaas")
_FILE = "gateway.json"
_PASSWORD = "basic-auth-password"  # noqa: S105 - the name of the file, as OpenFaaS's own


class State(msgspec.Struct, frozen=True):
    """A running gateway. password_file "": the management routes are open."""

    pid: int
    url: str
    metrics_url: str
    stack: str
    user: str
    password_file: str

    def auth(self) -> tuple[str, str] | None:
        """Give (user, password), or None.   Raises: OSError."""
        return (self.user, Path(self.password_file).read_text().strip()) if self.password_file else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def prepare(folder: Path) -> None:
    """Make the directory, for one gateway at a time.   Raises: LocalfaasError when one is running there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise LocalfaasError(f"state directory {folder}: {e.strerror}; choose another with --state DIR") from e
    state = _read(folder)
    if state is not None and _alive(state.pid):
        raise LocalfaasError(
            f"a gateway (pid {state.pid}) already runs from {folder}, at {state.url}; stop it with `kill {state.pid}` "
            "or choose another directory with --state DIR"
        )


def new_password(folder: Path) -> Path:
    """Write a fresh random password, readable by its owner only, and return the file."""
    file = folder / _PASSWORD
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(secrets.token_urlsafe(24))
    return file


def write(folder: Path, state: State) -> None:
    """Publish a gateway; the file appears when it is complete, because others poll for it."""
    partial = folder / f".{_FILE}.new"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    partial.replace(folder / _FILE)


def remove(folder: Path) -> None:
    """Take it back."""
    (folder / _FILE).unlink(missing_ok=True)


def _read(folder: Path) -> State | None:
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def find(folder: Path) -> State:
    """Find the running gateway.   Raises: NotRunningError."""
    state = _read(folder)
    if state is None or not _alive(state.pid):
        raise NotRunningError(
            f"no gateway runs from {folder}; start one with `localfaas up -f stack.yml`, or name its --state DIR"
        )
    return state
