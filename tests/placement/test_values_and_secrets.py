"""Values reach the chart as they were given, and what is secret in them leaves by no answer."""

from __future__ import annotations

import base64
import json

import pytest

from placement import values
from tests.placement.conftest import Site

TELCO = [
    "0009",
    "08",
    "09",
    "000018",
    "0o17",
    "1e3",
    "0x1f",
    "1_000",
    "12:30",
    "on",
    "no",
    "~",
    "null",
    ".5",
    "2026-11-22",
]


@pytest.mark.parametrize("text", TELCO)
def test_text_that_looks_like_something_else_stays_text_in_what_helm_is_given(text: str) -> None:
    assert json.loads(values.as_json({"tac": text, "list": [{text: text}]})) == {"tac": text, "list": [{text: text}]}


def test_helm_deploys_every_text_as_it_was_given(site: Site) -> None:
    """What helm 3.22's own reader of YAML makes of it, on the cluster."""
    odd = ["é", "\u2028 \x7f \x85 \ufeff", "😀", 'a "quoted" \\ud83d one', "line\nline\n", "\t x: #y", "{{ x }}"]
    data = "{{ range $k, $v := .Values.given }}{{ $k }}: {{ $v | b64enc | quote }}, {{ end }}"
    files = {"templates/c.yaml": f"kind: ConfigMap\napiVersion: v1\nmetadata: {{name: c}}\ndata: {{ {data} }}"}
    site.registry.push("texts", "1.0.0", files=files, values={})
    given = {f"n{number}": text for number, text in enumerate([*TELCO, *odd])}
    answer = site.call(cluster="a", chart_repository=site.registry.oci("texts"), values={"given": given})
    assert answer.code is None, answer.body
    [config] = site.clusters[0].things("configmaps")
    assert {name: base64.b64decode(text).decode() for name, text in config["data"].items()} == given
