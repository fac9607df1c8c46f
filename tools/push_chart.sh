#!/usr/bin/env bash
# Package a chart with its dependencies and push it.  usage: push_chart.sh CHART OCI-URL
# HELM names another helm; HELM_PUSH_OPTIONS, e.g. --plain-http; `helm registry login` first where it is needed.
set -euo pipefail
chart=$1
url=$2
helm=${HELM:-helm}

fail() { echo "chart-push: $1" >&2; exit 1; }

command -v "$helm" >/dev/null || fail "no helm here: put it on the PATH or name it in HELM; \`make helm\` builds one"
[[ $url == oci://* ]] || fail "say where to: make chart-push CHART=$chart OCI=oci://registry.example:5000/charts"
[ -f "charts/$chart/Chart.yaml" ] || fail "there is no charts/$chart; there are: $(ls charts | tr '\n' ' ')"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r charts "$work/"
"$helm" dependency build "$work/charts/$chart" >/dev/null
"$helm" package "$work/charts/$chart" --destination "$work" >/dev/null
# shellcheck disable=SC2086  several options
"$helm" push "$work/$chart-"*.tgz "$url" ${HELM_PUSH_OPTIONS:-}
