#!/bin/sh
exec python -m edge.cli "$@"
