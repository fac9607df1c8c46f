#!/usr/bin/env bash
# Make the virtual environment from pinned, hashed wheels.  Every failure is one line with its cure.
# usage: make_environment.sh DIRECTORY        (PYTHON names the interpreter, default python3)
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

fail() { echo "make: $1" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python here: install Python 3.11 to 3.13, or call make PYTHON=/path/to/python3.12"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $version in
    3.11|3.12|3.13) ;;
    *) fail "Python $version is not served: install 3.11, 3.12 or 3.13, or call make PYTHON=python3.12" ;;
esac
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "the venv module is missing: on Debian, apt-get install python$version-venv"
free_mb=$(df -Pm . | awk 'NR == 2 {print $4}')
[ "$free_mb" -ge 1500 ] || fail "only $free_mb MB are free here, the environment needs 1500: make room first"

echo "Making $venv from pinned, hashed wheels with Python $version: about a minute, only the first time."
rm -rf "$venv"
"$python" -m venv "$venv" || fail "could not make $venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt \
    || fail "the wheels could not be installed: is the package index within reach? see the lines above"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable . \
    || fail "this project could not be installed into $venv: see the lines above"
