"""What helm's words mean.  The sentences were printed by helm 3.16.4 and 3.22.0 in the situations named."""

from __future__ import annotations

import pytest

from placement.helm_errors import meaning

SENTENCES = [
    ("no_such_chart", "Error: 127.0.0.1:45131/charts/nf:9.9.9: not found"),
    (
        "no_such_chart",
        'Error: failed to perform "FetchReference" on source: 127.0.0.1:36153/charts/nf:9.9.9: not found',
    ),
    (
        "registry_refused",
        (
            "Error: pull access denied, repository does not exist or may require authorization: authorization failed: "
            "no basic auth credentials"
        ),
    ),
    (
        "registry_refused",
        (
            'Error: failed to perform "FetchReference" on source: GET '
            '"http://127.0.0.1:36153/v2/charts/nf/manifests/1": '
            "basic credential not found"
        ),
    ),
    (
        "registry_down",
        (
            'Error: failed to do request: Head "http://127.0.0.1:1/v2/x/y/manifests/1.0.0": '
            "dial tcp 127.0.0.1:1: connect: "
            "connection refused"
        ),
    ),
    (
        "registry_down",
        (
            'Error: failed to perform "FetchReference" on source: Get '
            '"http://127.0.0.1:1/v2/x/y/manifests/1.0.0": dial '
            "tcp 127.0.0.1:1: connect: connection refused"
        ),
    ),
    (
        "registry_down",
        (
            "Error: failed to do request: Head "
            '"https://127.0.0.1:1/v2/x/y/manifests/1.0.0": net/http: TLS handshake timeout'
        ),
    ),
    (
        "cluster_down",
        'Error: Kubernetes cluster unreachable: Get "https://127.0.0.1:1/version": net/http: TLS handshake timeout',
    ),
    (
        "cluster_down",
        (
            'Error: Kubernetes cluster unreachable: Get "http://127.0.0.1:1/version": dial tcp 127.0.0.1:1: connect: '
            "connection refused"
        ),
    ),
    ("busy", "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"),
    ("busy", "Error: UPGRADE FAILED: release: already exists"),
    ("busy", "Error: cannot re-use a name that is still in use"),
    ("namespace_missing", 'Error: create: failed to create: namespaces "nope" not found'),
    (
        "render_failed",
        (
            'Error: template: bad/templates/x.yaml:1:13: executing "bad/templates/x.yaml" at '
            "<.Values.x.y>: nil pointer "
            "evaluating interface {}.y"
        ),
    ),
    (
        "render_failed",
        (
            "Error: YAML parse error on bad3/templates/x.yaml: error converting YAML to "
            "JSON: yaml: mapping values are not "
            "allowed in this context"
        ),
    ),
]


@pytest.mark.parametrize(("code", "sentence"), SENTENCES)
def test_each_sentence_has_its_code(code: str, sentence: str) -> None:
    noise = "Pulled: 127.0.0.1:45131/charts/nf:1.0.0\nDigest: sha256:f254\n"
    assert meaning(noise + sentence + "\n").code.value == code


def test_what_nobody_knows_is_told_in_helms_words_without_the_callers() -> None:
    error = meaning("Error: UPGRADE FAILED: the field hunter2-hunter2 is odd\n", {"hunter2-hunter2"})
    assert error.code.value == "apply_failed"
    assert error.detail == "Helm says: UPGRADE FAILED: the field *** is odd."


def test_all_of_helms_sentence_is_told_where_it_names_what_is_wrong() -> None:
    said = "W1123 06:00:00 a warning\nError: UPGRADE FAILED: values don't meet the specifications:\n- tac: is missing\n"
    assert meaning(said).detail == "Helm says: UPGRADE FAILED: values don't meet the specifications: - tac: is missing."
    refused = 'Error: UPGRADE FAILED: secrets is forbidden: User "p" cannot list resource "secrets"\n'
    error = meaning(refused)
    assert error.code.value == "cluster_refused"
    assert error.detail == 'Helm says: UPGRADE FAILED: secrets is forbidden: User "p" cannot list resource "secrets".'


def test_where_the_code_says_it_all_helm_is_not_quoted() -> None:
    error = meaning("Error: failed to do request: Head https://r.test/v2/c/manifests/1: dial tcp: connection refused\n")
    assert (error.code.value, error.detail) == ("registry_down", error.code.says)


def test_without_a_word_of_helm_there_is_the_codes_own() -> None:
    error = meaning("\n")
    assert (error.code.value, error.detail) == ("apply_failed", error.code.says)
