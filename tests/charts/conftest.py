"""The charts with the real helm; what edge-platform renders by its defaults."""

from __future__ import annotations

import pytest

from tests.charts.rendering import Charts, Manifest


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    return Charts(tmp_path_factory.mktemp("charts"))


@pytest.fixture(scope="module")
def default(charts: Charts) -> list[Manifest]:
    return charts.render("edge-platform", {}, release="edge")
