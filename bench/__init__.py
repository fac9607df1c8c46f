"""Reproducible measurements: `make bench`.  See docs/bench.md.

Each section is a module of `bench.sections` that measures one thing and writes its raw figures as JSON to
bench/results/, beside the summary that is made of all of them.
"""
