"""Runs in the pod: watches a mounted ConfigMap, validates what comes, makes the daemon take it, reports.

Needs Python 3.9 or later and nothing else, so that it fits any image; `python -m reload.agent`, or as one file
(`make reload-zipapp`).  Schemas for YAML files need the bundled PyYAML.
"""
