"""A small daemon: takes `greeting` from its configuration, on start and on SIGHUP or POST /reload; serves it by HTTP.

argv: DIRECTORY LOG [trap-term|watch|signals|worker|worker-trap-term].  app.conf: `greeting=…`; `die=start` exits 3 at
once, `die=hup` exits 4 when it is read on SIGHUP, `die=post` exits 5 instead of an answer to POST /reload, `refuse=yes`
answers 500 to it.
GET / answers the greeting.  The log gets one line per event; its first line is `port N`.  `signals`: every signal that
can be caught is `signal N` in the log, and nothing else.  `worker`: a child holds the listening socket and serves, and
goes on whatever becomes of its parent.
"""

import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

directory, log = Path(sys.argv[1]), Path(sys.argv[2])
how = sys.argv[3] if len(sys.argv) > 3 else ""
values: dict[str, str] = {}


def say(text: str) -> None:
    with log.open("a") as stream:
        stream.write(text + "\n")


def load() -> None:
    text = (directory / "app.conf").read_text()
    values.clear()
    values.update(line.split("=", 1) for line in text.splitlines() if "=" in line)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a connection stays open between requests
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(200, values.get("greeting", ""))

    def do_POST(self) -> None:
        load()
        say(f"post {values.get('greeting')}")
        if values.get("die") == "post":
            os._exit(5)
        self._answer(500 if values.get("refuse") else 200, "")

    def _answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def on_hup(_number: int, _frame: object) -> None:
    load()
    say(f"hup {values.get('greeting')}")
    if values.get("die") == "hup":
        os._exit(4)


def on_term(_number: int, _frame: object) -> None:
    say("term")
    if not how.endswith("trap-term"):
        os._exit(int(values.get("code", "0")))


def watch() -> None:
    """A daemon that reloads by itself."""
    before = (directory / "..data").readlink()
    while True:
        time.sleep(0.02)
        now = (directory / "..data").readlink()
        if now != before:
            before = now
            load()
            say(f"watched {values.get('greeting')}")


load()
if values.get("die") == "start":
    say("died")
    sys.exit(3)
signal.signal(signal.SIGHUP, on_hup)
signal.signal(signal.SIGUSR1, lambda *_: say("usr1"))
signal.signal(signal.SIGTERM, on_term)
if how == "signals":
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, lambda caught, _: say(f"signal {int(caught)}"))
server = ThreadingHTTPServer(("127.0.0.1", int(values.get("port", "0"))), Handler)
if how == "watch":
    threading.Thread(target=watch, daemon=True).start()
worker = os.fork() if how.startswith("worker") else None
if worker == 0:
    server.serve_forever()
started = f"port {server.server_address[1]} pid {os.getpid()} greeting {values.get('greeting')}"
if worker is not None:
    server.socket.close()
    say(f"{started} worker {worker}")
    while True:
        time.sleep(0.1)
say(started)
threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    time.sleep(0.1)  # not pause(): of a signal that comes just before it nothing wakes it, and Python runs no handler
