"""A file is complete, or it is what it was before."""

import os
import stat
import subprocess
import sys
import tempfile
import textwrap

import pytest

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.errors import InputError


def test_the_file_appears_when_the_block_ends_and_nothing_else_stays(tmp_path):
    target = tmp_path / "spectrum.nxs"
    with atomic_write(target) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".nxs"
        assert temporary.parent == tmp_path
        assert not target.exists()
    assert target.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["spectrum.nxs"]


def test_a_crash_inside_leaves_the_old_file(tmp_path):
    target = tmp_path / "spectrum.nxs"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="power"), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("power")
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["spectrum.nxs"]


def test_a_killed_process_leaves_the_old_file(tmp_path):
    target = tmp_path / "spectrum.nxs"
    target.write_text("old")
    script = f"""
        import os, signal
        from scatterml_ase.atomic_write import atomic_write
        with atomic_write({str(target)!r}) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode != 0
    assert target.read_text() == "old"


def test_new_files_have_the_permissions_the_user_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.csv") as temporary:
            temporary.write_text("1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o640


def test_a_link_is_followed(tmp_path):
    (tmp_path / "data").mkdir()
    link = tmp_path / "latest.csv"
    link.symlink_to(tmp_path / "data" / "run1.csv")
    with atomic_write(link) as temporary:
        temporary.write_text("1")
    assert link.is_symlink()
    assert (tmp_path / "data" / "run1.csv").read_text() == "1"


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(InputError, match=r"missing.*does not exist.*Choose another place"),
        atomic_write(tmp_path / "missing" / "a.csv"),
    ):
        pass


def test_a_folder_as_target_is_refused(tmp_path):
    with pytest.raises(InputError, match="it is a folder"), atomic_write(tmp_path):
        pass


def test_a_file_as_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="it is a file"):
        writable_folder(tmp_path / "file", create=False)
    with pytest.raises(InputError, match="Cannot write into"):
        writable_folder(tmp_path / "file" / "below", create=True)


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    # root may write anywhere, so the refusal is simulated
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"Permission denied.*change its permissions"):
        writable_folder(tmp_path, create=False)


def test_a_folder_is_made_on_request(tmp_path):
    assert writable_folder(tmp_path / "a" / "b", create=True).is_dir()
