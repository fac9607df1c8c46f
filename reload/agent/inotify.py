"""inotify without a dependency: watch one directory for entries that come, go and are renamed (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_CLOEXEC = 0o2000000
_NONBLOCK = 0o4000
_MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x80, 0x100, 0x200, 0x400, 0x800
_IGNORED, _ONLYDIR = 0x8000, 0x01000000
_HEAD = struct.Struct("iIII")


class Inotify:
    """One watch.  Raises OSError: EMFILE (instances used up), ENOSPC (watches used up), ENOSYS, ENOENT."""

    def __init__(self, directory: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            init, add = libc.inotify_init1, libc.inotify_add_watch
        except AttributeError:
            raise OSError(38, "this C library has no inotify") from None
        self.fd: int = init(_CLOEXEC | _NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        mask = _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
        if add(self.fd, os.fsencode(directory), ctypes.c_uint32(mask)) < 0:
            code = ctypes.get_errno()
            os.close(self.fd)
            raise OSError(code, os.strerror(code))

    def drain(self) -> bool:
        """Read what is there; False = the directory is gone, and with it the watch."""
        alive = True
        while True:
            try:
                octets = os.read(self.fd, 65536)
            except BlockingIOError:
                return alive
            at = 0
            while at < len(octets):
                _, mask, _, length = _HEAD.unpack_from(octets, at)
                at += _HEAD.size + length
                if mask & (_IGNORED | _DELETE_SELF | _MOVE_SELF):
                    alive = False

    def close(self) -> None:
        """Give the instance back."""
        os.close(self.fd)
