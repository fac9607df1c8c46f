"""nginx as the network function whose configuration changes: an image under auto-reload, and what it is to serve."""

from __future__ import annotations

from reload import image
from tests.lab import images, oci

ASK = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/', timeout=5).read().decode())"
"""Python that asks it, from within its pod."""


def wrapped(registry: str) -> str:
    """Push Debian's nginx, with auto-reload put into it by what `make reload-image` runs; the reference."""
    base = oci.push(images.nginx(), registry)
    to = base.rpartition(":")[0] + ":wrapped"
    assert image.main(["--base", base, "--to", to, "--plain-http"]) == 0
    return to


def conf(answer: str) -> str:
    """An nginx.conf under which it answers that on port 8080."""
    return f"""\
worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u;
  scgi_temp_path /tmp/s;
  server {{ listen 8080; keepalive_timeout 3600; location = / {{ return 200 '{answer}'; }} }}
}}
"""
