"""How large a YAML document is with its aliases written out: a few lines of them can stand for billions of values."""

from __future__ import annotations

from typing import Any

MOST_NODES = 100_000
"""Keys and values of a document, aliases written out."""


def are_too_many(root: Any) -> bool:
    """Whether a document has more than MOST_NODES.  root: its composed node, PyYAML's or ruamel.yaml's; None = empty.

    Before anything is constructed: to merge keys (`<<`) is to write aliases out.
    """
    count, waiting = 0, [] if root is None else [root]
    while waiting and count <= MOST_NODES:
        count += 1
        value = waiting.pop().value
        if isinstance(value, list):
            for part in value:
                waiting += part if isinstance(part, tuple) else (part,)
    return count > MOST_NODES
