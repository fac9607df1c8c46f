#!/usr/bin/python3
"""`cqlsh -e STATEMENT` on this node, as the pages' commands use it; the real one comes with the distribution only."""

import argparse

from cassandra.cluster import Cluster
from cassandra.policies import WhiteListRoundRobinPolicy

HERE = "127.0.0.1"


def main() -> None:
    told = argparse.ArgumentParser()
    told.add_argument("-e", dest="statement", required=True)
    told.add_argument("--request-timeout", type=float, default=10)
    options = told.parse_args()
    with Cluster([HERE], load_balancing_policy=WhiteListRoundRobinPolicy([HERE])) as cluster:
        cluster.connect().execute(options.statement, timeout=options.request_timeout)


if __name__ == "__main__":
    main()
