"""Writes what Prometheus and Grafana read, for k8s/monitoring and charts/edge-platform: `python -m tools.monitoring`.

--check: write nothing, and fail where a file is not what is made from its source.
"""
