"""Sample: answers the bytes it got. `faas-cli new` copies it; a function's own handler.py takes its place."""


def handle(event, _context):
    """Answer the request's body unchanged. event.body: bytes. Out: (body, status, headers)."""
    return event.body, 200, {"Content-Type": event.headers.get("Content-Type", "application/octet-stream")}
