import os
from pathlib import Path

import pytest

from cl_condense.files import atomic


def _save(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text)


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "records.csv"
    for text in ("old", "new"):
        _save(path, text)
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_lies_beside_with_the_same_suffix(tmp_path):
    path = tmp_path / "a.png"
    with atomic(str(path)) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary != path
        temporary.touch()
        assert not path.exists()
    assert path.exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    path, done = tmp_path / "a.txt", []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: done.append((os.fstat(descriptor).st_size, path.exists()))
    )
    _save(path, "four")
    assert done == [(4, False)]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_others_may_read_the_file_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    _save(tmp_path / "a", "")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_folder_is_the_writers_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        _save(tmp_path / "absent" / "a", "")


def test_a_block_that_writes_nothing_keeps_the_old_file(tmp_path):
    _save(tmp_path / "a", "old")
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "old"
