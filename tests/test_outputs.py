"""Outputs: a file appears whole or not at all."""

import os
import stat

import pytest

from gaussmix.outputs import check_output, whole_file


def test_nothing_is_there_until_all_is_written(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"before")
    with whole_file(path) as file:
        file.write(b"first")
        file.flush()
        assert path.read_bytes() == b"before" and len(os.listdir(tmp_path)) == 2
        file.write(b" and second")
    assert path.read_bytes() == b"first and second" and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("before", [None, b"before"])
def test_after_an_exception_all_is_as_it_was(tmp_path, error, before):
    path = tmp_path / "out"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(error), whole_file(path) as file:
        file.write(b"half")
        raise error("stop")
    assert os.listdir(tmp_path) == ([] if before is None else ["out"])
    assert before is None or path.read_bytes() == before


def test_an_error_while_writing_names_the_file(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(OSError) as caught, whole_file(path):
        raise OSError(28, "No space left on device", "another name")
    assert (caught.value.errno, caught.value.strerror, caught.value.filename) == (
        28, "cannot be written: No space left on device", str(path))


@pytest.mark.parametrize("exists, forbidden, allowed", [
    (True, "out", False), (True, ".", False), (False, ".", False), (True, "other", True), (False, "other", True)])
def test_what_has_to_be_writable(tmp_path, monkeypatch, exists, forbidden, allowed):
    path, forbidden = tmp_path / "out", os.path.realpath(tmp_path / forbidden)
    if exists:
        path.write_bytes(b"before")
    monkeypatch.setattr("gaussmix.outputs.os.access", lambda asked, mode: os.path.realpath(asked) != forbidden)
    if allowed:
        assert check_output(path) == os.path.realpath(path)
    else:
        with pytest.raises(PermissionError, match="cannot be written: permission denied") as caught:
            check_output(path)
        assert caught.value.filename == str(path)


@pytest.mark.skipif(os.name != "posix", reason="needs links and permissions of POSIX")
def test_a_link_stays_and_its_file_keeps_its_permissions(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    real = folder / "real"
    real.write_bytes(b"before")
    real.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to("folder/real")
    with whole_file(link) as file:
        file.write(b"after")
        assert len(os.listdir(folder)) == 2 and sorted(os.listdir(tmp_path)) == ["folder", "link"]
    assert link.is_symlink() and real.read_bytes() == b"after" and os.listdir(folder) == ["real"]
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_what_is_no_place_for_a_file(tmp_path):
    for path, error in ((tmp_path / "nowhere" / "out", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(error, match="cannot be written") as caught:
            check_output(path)
        assert caught.value.filename == str(path)


def test_a_name_in_bytes(tmp_path):
    with whole_file(os.fsencode(tmp_path / "x")) as file:
        file.write(b"content")
    assert (tmp_path / "x").read_bytes() == b"content"
