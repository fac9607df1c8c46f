"""Names of messages as TS 24.301 clause 8 and the ASN.1 of TS 36.413 write them, in people's case."""

from __future__ import annotations

import pytest

from enb_app import names


@pytest.mark.parametrize(
    ("class_name", "title"),
    [
        ("GutiReallocationCommand", "GUTI Reallocation Command"),
        ("EmmStatus", "EMM Status"),
        ("EsmInformationRequest", "ESM Information Request"),
        ("PdnConnectivityRequest", "PDN Connectivity Request"),
        ("ActivateDefaultEpsBearerContextRequest", "Activate Default EPS Bearer Context Request"),
        ("DetachRequestFromUe", "Detach Request"),
    ],
)
def test_abbreviations_stay_abbreviations(class_name: str, title: str) -> None:
    assert names.of_nas_class(class_name) == title
