"""The mounted directory, the effective directory, and mounts that kubelet never updates."""

from __future__ import annotations

from pathlib import Path

import pytest

from reload.agent.digest import digest_of
from reload.agent.settings import SettingsError
from reload.agent.volume import MAX_OCTETS, Effective, VolumeError, read_files, require_updatable
from tests.reload.volumes import MountedConfig

# The form of proc(5); the root is where kubelet keeps a subPath's source (pkg/volume/util/subpath).
SUBPATH = (
    "612 590 8:1 /var/lib/kubelet/pods/0d9c/volume-subpaths/config/amf/0 {point} rw,relatime - ext4 /dev/sda1 rw\n"
)


@pytest.mark.parametrize("point", ["{config}/amf.yaml", "{config}"])
def test_a_subpath_mount_is_refused_with_its_place(tmp_path: Path, point: str) -> None:
    config = tmp_path / "con fig"
    config.mkdir()
    place = point.format(config=config)
    with pytest.raises(SettingsError, match="is mounted by subPath: it never changes") as refused:
        require_updatable(config, SUBPATH.format(point=place.replace(" ", "\\040")))
    assert place in str(refused.value)


def test_a_configmap_volume_is_accepted(tmp_path: Path) -> None:
    mounted = MountedConfig(tmp_path / "config", {"a": "1"})
    require_updatable(mounted.directory, "")
    assert read_files(mounted.directory) == {"a": b"1"}


def test_too_much_and_folders_are_refused(tmp_path: Path) -> None:
    mounted = MountedConfig(tmp_path / "config", {"a": "x" * (MAX_OCTETS + 1)})
    with pytest.raises(VolumeError, match="more than"):
        read_files(mounted.directory)
    mounted.swap({"b": "1"})
    (mounted.directory / "..data" / "folder").mkdir()
    with pytest.raises(VolumeError, match="folder"):
        read_files(mounted.directory)


def test_taking_keeping_and_going_back(tmp_path: Path) -> None:
    effective = Effective(tmp_path / "effective")
    assert effective.open() == ""
    effective.stage({"a": b"1", "gone": b""})
    effective.take()
    effective.keep()
    assert (effective.folder / "a").read_bytes() == b"1"
    effective.stage({"a": b"2", "b": b"2"})
    effective.take()
    assert sorted(p.name for p in effective.folder.iterdir() if not p.name.startswith("..")) == ["a", "b"]
    effective.stage({"a": b"3"})
    effective.take()
    effective.go_back()
    assert (effective.folder / "a").read_bytes() == b"1"
    assert sorted(p.name for p in effective.folder.iterdir() if not p.name.startswith("..")) == ["a", "gone"]
    assert len([p for p in effective.folder.iterdir() if p.name.startswith("..v")]) == 1


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    effective = Effective(tmp_path / "effective")
    effective.open()
    effective.stage({"a": b"1"})
    effective.take()
    effective.stage({"a": b"2"})
    (effective.folder / "..new").symlink_to("nowhere")
    again = Effective(tmp_path / "effective")
    assert len(again.open()) == 64
    assert len([p for p in effective.folder.iterdir() if p.name.startswith("..")]) == 2
    assert (again.folder / "a").read_bytes() == b"1"


def proven_then_taken(folder: Path) -> Effective:
    """`a` is 1 and proven, then taken as 2, which nobody has proven."""
    effective = Effective(folder)
    effective.open()
    effective.stage({"a": b"1", "gone": b""})
    effective.take()
    effective.keep()
    effective.stage({"a": b"2", "b": b"2"})
    effective.take()
    return effective


def test_a_run_that_ends_between_taking_and_keeping_is_gone_back_from(tmp_path: Path) -> None:
    proven_then_taken(tmp_path)
    again = Effective(tmp_path)
    assert again.open() == digest_of({"a": b"1", "gone": b""})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["..data", "..v1", "a", "gone"]
    assert (tmp_path / "a").read_bytes() == b"1"


def test_also_after_several_that_nobody_has_proven(tmp_path: Path) -> None:
    effective = proven_then_taken(tmp_path)
    effective.stage({"a": b"3"})
    effective.take()
    assert Effective(tmp_path).open() == digest_of({"a": b"1", "gone": b""})


@pytest.mark.parametrize("proven", [True, False])
def test_a_run_that_ends_after_keeping_or_going_back_stays(tmp_path: Path, proven: bool) -> None:
    effective = proven_then_taken(tmp_path)
    (effective.keep if proven else effective.go_back)()
    wanted = {"a": b"2", "b": b"2"} if proven else {"a": b"1", "gone": b""}
    assert Effective(tmp_path).open() == digest_of(wanted)


def test_a_taking_that_was_interrupted_before_its_names_were_there_is_completed(tmp_path: Path) -> None:
    effective = Effective(tmp_path)
    effective.open()
    effective.stage({"a": b"1"})
    effective.take()
    (tmp_path / "a").unlink()
    assert Effective(tmp_path).open() == digest_of({"a": b"1"})
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_version_that_is_gone_is_no_good_one(tmp_path: Path) -> None:
    (tmp_path / "..data").symlink_to("..v7")
    assert Effective(tmp_path).open() == ""
