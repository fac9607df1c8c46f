"""The chaos run: UEs live while nodes, replicas and the ticker are killed and messages get lost; then it is judged.

`python -m chaos` (`make chaos`).  What happens is recorded as a history, one JSON object a line; a pure checker reads
it afterwards and knows nothing of how it came about.  See docs/chaos.md.
"""
