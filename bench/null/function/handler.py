"""Answers with the body it got."""


def handle(event, _context):
    """Out: the body as it came."""
    return event.body, 200
