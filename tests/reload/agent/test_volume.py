"""The mounted directory, the effective directory, and mounts that kubelet never updates."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from reload.agent import volume
from reload.agent.digest import digest_of
from reload.agent.settings import SettingsError
from reload.agent.volume import MAX_OCTETS, Effective, VolumeError, read_files, require_updatable
from tests.reload.volumes import MountedConfig

# What kubelet 1.34.4 made, as containers' /proc/self/mountinfo had it: of a ConfigMap on disk, of a Secret on tmpfs.
VERSION = "..2026_11_23_13_17_23.2430781632"
ON_DISK = (
    "407 391 254:0 /var/lib/kubelet/pods/eb85d0a5/volumes/kubernetes.io~configmap/c{inside} {point} ro,relatime - "
    "ext4 /dev/vda rw,discard\n"
)
ON_TMPFS = "408 391 0:104 {inside} {point} ro,relatime - tmpfs tmpfs rw,size=24581692k,noswap\n"


@pytest.mark.parametrize("form", [ON_DISK, ON_TMPFS])
@pytest.mark.parametrize(("inside", "point"), [("amf.yaml", "{config}/amf.yaml"), ("conf", "{config}")])
def test_a_subpath_mount_is_refused_with_its_place(tmp_path: Path, form: str, inside: str, point: str) -> None:
    config = tmp_path / "con fig"
    config.mkdir()
    place = point.format(config=config)
    mountinfo = form.format(inside=f"/{VERSION}/{inside}", point=place.replace(" ", "\\040"))
    with pytest.raises(SettingsError, match="is mounted by subPath: it never changes") as refused:
        require_updatable(config, mountinfo)
    assert place in str(refused.value)


@pytest.mark.parametrize("form", [ON_DISK, ON_TMPFS])
def test_a_whole_volume_without_a_version_is_not_called_a_subpath(tmp_path: Path, form: str) -> None:
    with pytest.raises(SettingsError, match=r"has no \.\.data"):
        require_updatable(tmp_path, form.format(inside="/", point=tmp_path))


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
    with pytest.raises(VolumeError, match="folder is no file"):
        read_files(mounted.directory)
    # to read a pipe would be to wait for somebody who writes
    mounted.swap({"b": "1"})
    os.mkfifo(mounted.directory / "..data" / "pipe")
    with pytest.raises(VolumeError, match="pipe is no file"):
        read_files(mounted.directory)


def test_what_is_no_directory_of_a_volume_is_refused_with_what_it_is(tmp_path: Path) -> None:
    """kubernetes/kubernetes#50345: what is mounted by subPath is never updated."""
    (tmp_path / "amf.yaml").write_text("")
    (tmp_path / "plain").mkdir()
    for name, said in (
        ("amf.yaml", "is a single file, mounted by subPath"),
        ("gone", "is not there"),
        ("plain", r"has no \.\.data, so it is no ConfigMap or Secret volume"),
    ):
        with pytest.raises(SettingsError, match=said):
            require_updatable(tmp_path / name, "")


def test_a_version_that_is_swapped_while_it_is_read_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = MountedConfig(tmp_path / "config", {"a": "1", "b": "1"})
    real, tries = volume._files_in, list[Path]()

    def swapped(folder: Path) -> dict[str, bytes]:
        tries.append(folder)
        if len(tries) == 1:
            mounted.swap({"a": "2"})
            raise FileNotFoundError
        return real(folder)

    monkeypatch.setattr(volume, "_files_in", swapped)
    assert read_files(mounted.directory) == {"a": b"2"}
    assert len(set(tries)) == 2


def test_a_version_that_is_never_there_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "..data").symlink_to("..gone")
    with pytest.raises(VolumeError, match="changed 5 times"):
        read_files(tmp_path)


def versions(effective: Effective) -> list[Path]:
    return [path for path in effective.folder.iterdir() if path.name.startswith("..v")]


def test_only_what_can_be_needed_again_is_kept_and_whoever_runs_the_daemon_may_read_it(tmp_path: Path) -> None:
    effective = Effective(tmp_path / "effective")
    effective.open()
    for text in (b"1", b"2"):
        effective.stage({"a": text})
    assert len(versions(effective)) == 1
    effective.take()
    effective.keep()
    effective.stage({"a": b"3"})
    effective.take()
    assert len(versions(effective)) == 2
    effective.keep()
    [kept] = versions(effective)
    assert (kept.stat().st_mode & 0o777, (kept / "a").read_bytes()) == (0o755, b"3")
    effective.stage({"a": b"4"})
    effective.drop()
    assert versions(effective) == [kept]


def test_a_daemon_that_reads_at_any_moment_finds_its_files(tmp_path: Path) -> None:
    effective = Effective(tmp_path / "effective")
    effective.open()
    effective.stage({"a": b"0"})
    effective.take()
    effective.keep()
    done, missed = threading.Event(), list[str]()

    def read() -> None:
        while not done.is_set():
            # what is read at once is of one version; the name itself must never be missing
            if not os.path.lexists(effective.folder / "..data"):
                missed.append("..data")

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(300):
        effective.stage({"a": str(n).encode()})
        effective.take()
        effective.keep()
    done.set()
    reader.join()
    assert missed == []


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
