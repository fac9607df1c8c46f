"""Who may import whom (docs/architecture.md): read from the source, so that no import at run time can hide it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

VALUES = {
    "mme.ids",
    "mme.enums",
    "mme.epoch",
    "mme.errors",
    "mme.messages",
    "mme.context",
    "mme.enb_context",
    "mme.needs",
    "mme.outcome",
    "mme.config",
    "mme.fsm",
    "mme.m_tmsi",
    "mme.lease",
    "mme.replacing",
    "mme.ue_capability",
    "mme.paging_drx",
    "mme.routing",
    "mme.upgrades",
}
IMPURE_LIBRARIES = {"os", "random", "time", "logging", "socket", "threading", "requests", "datetime", "secrets", "uuid"}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions; `from mme import a` counts as mme.a."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def within(modules: set[str], *packages: str) -> set[str]:
    return {m for m in modules if any(m == p or m.startswith(p + ".") for p in packages)}


@pytest.mark.parametrize("path", files("mme/procedures"), ids=lambda p: p.stem)
def test_procedures_import_only_values_crypto_and_each_other(path: Path) -> None:
    imported = imports_of(path)
    assert not {m.split(".")[0] for m in imported} & IMPURE_LIBRARIES
    assert not within(
        imported, "mme.codec", "mme.store", "mme.hss", "mme.sgw", "mme.runtime", "mme.metrics", "mme.logs"
    )


@pytest.mark.parametrize("module", sorted(VALUES))
def test_values_import_only_values(module: str) -> None:
    path = ROOT / (module.replace(".", "/") + ".py")
    ours = {m for m in within(imports_of(path), "mme") if (ROOT / (m.replace(".", "/") + ".py")).is_file()}
    assert ours <= VALUES


@pytest.mark.parametrize("path", files("mme/codec", "mme/crypto", "mme/store"), ids=module_of)
def test_codec_crypto_and_store_know_no_procedure_and_no_runtime(path: Path) -> None:
    assert not within(imports_of(path), "mme.procedures", "mme.runtime", "mme.function", "mme.hss", "mme.sgw")


def test_only_the_codec_imports_pycrate() -> None:
    users = {module_of(p) for p in files("mme", "enb-app", "localfaas", "edge", "functions") if _uses(p, "pycrate")}
    assert users
    assert all(user.startswith("mme.codec.") for user in users)


def test_only_the_store_imports_drivers() -> None:
    users = {
        module_of(p)
        for p in files("mme", "placement", "reload", "durable", "enb-app", "localfaas", "edge")
        if _uses(p, "cassandra", "sqlite3")
    }
    assert users
    assert all(user.startswith(("mme.store.", "durable.")) for user in users)


def _uses(path: Path, *libraries: str) -> bool:
    return any(m.split(".")[0].startswith(libraries) for m in imports_of(path))


def test_trust_and_durable_know_no_function_and_reload_and_mme_not_each_other() -> None:
    ours = ("trust", "durable", "mme", "placement", "reload", "localfaas", "edge", "enb_app", "laptop", "spgw_hss_stub")
    for folder, known in (
        ("trust", {"trust"}),
        ("durable", {"durable", "trust"}),
        ("mme", {"mme", "durable", "trust"}),
        ("reload", {"reload", "durable", "trust"}),
        ("placement", {"placement", "reload", "durable", "trust"}),
    ):
        assert files(folder)
        for path in files(folder):
            imported = {module.split(".")[0] for module in within(imports_of(path), *ours)}
            assert imported <= known, path


def test_the_mme_takes_nothing_but_rows_and_where_their_nodes_are_from_durable() -> None:
    found = {module for path in files("mme") for module in within(imports_of(path), "durable")}
    assert {".".join(module.split(".")[:2]) for module in found} == {"durable.rows", "durable.moving"}


@pytest.mark.parametrize(
    "name", ["request", "cluster", "quantities", "manifest", "plan", "policy", "readiness", "masking"]
)
def test_the_pure_part_of_placement_does_nothing(name: str) -> None:
    imported = imports_of(ROOT / "placement" / f"{name}.py")
    assert not {m.split(".")[0] for m in imported} & (IMPURE_LIBRARIES - {"datetime"})
    assert not within(imported, "placement.api", "placement.helm", "durable", "placement.steps")


def test_what_runs_in_other_images_needs_only_the_standard_library() -> None:
    assert files("reload/agent")
    for path in files("reload/agent"):
        ast.parse(path.read_text(), feature_version=(3, 9))  # the oldest Python of an image that it is to fit
        assert not within(imports_of(path), "trust", "kubernetes", "ruamel", "requests", "msgspec"), path
        assert {m for m in imports_of(path) if m.split(".")[0] == "reload"} <= {
            m for m in imports_of(path) if m == "reload.agent" or m.startswith("reload.agent.")
        }, path


@pytest.mark.parametrize("path", files("enb-app"), ids=lambda p: p.stem)
def test_the_simulator_does_not_share_the_mmes_decisions(path: Path) -> None:
    allowed = ("mme.ids", "mme.enums", "mme.errors", "mme.messages", "mme.routing", "mme.codec", "mme.crypto")
    ours = within(imports_of(path), "mme")
    assert ours - {"mme"} <= within(ours, *allowed)


@pytest.mark.parametrize("path", files("functions"), ids=lambda p: p.parent.name)
def test_a_handler_is_a_few_lines(path: Path) -> None:
    assert path.name == "handler.py"
    assert len([line for line in path.read_text().splitlines() if line.strip()]) <= 5
