"""Writes what Prometheus and Grafana read in k8s/monitoring: `python -m tools.monitoring`.

--check: write nothing, and fail where a file is not what is made from its source.
"""
