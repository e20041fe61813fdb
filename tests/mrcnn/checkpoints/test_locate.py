"""Search order of weights files and destination of downloads."""

from pathlib import Path

import pytest

from mrcnn.checkpoints import locate


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Returns the folders in search order. None of them exists yet."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(locate, "REPOSITORY_FOLDER", tmp_path / "repository" / "weights")
    monkeypatch.setenv("MRCNN_WEIGHTS_DIR", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    places = ("work/weights", "repository/weights", "variable", "cache/mrcnn")
    return [tmp_path / place for place in places]


def test_search_order(folders):
    assert locate.find_weights("w.h5") is None
    for folder in reversed(folders):
        folder.mkdir(parents=True)
        (folder / "w.h5").touch()
        assert locate.find_weights("w.h5").resolve() == folder / "w.h5"


def test_names_are_tried_in_order_inside_a_folder(folders):
    folders[0].mkdir()
    for name in ("second.h5", "first.h5"):
        (folders[0] / name).touch()
    assert locate.find_weights(["first.h5", "second.h5"]) == Path("weights/first.h5")
    (folders[0] / "folder.h5").mkdir()
    assert locate.find_weights(["folder.h5"]) is None


def test_downloads_go_to_the_folder_of_the_user(folders, monkeypatch):
    work, repository, variable, cache = folders
    assert locate.download_folder() == variable
    monkeypatch.delenv("MRCNN_WEIGHTS_DIR")
    assert locate.download_folder() == cache
    repository.mkdir(parents=True)
    assert locate.download_folder() == repository
    work.mkdir()
    assert locate.download_folder().resolve() == work


def test_the_cache_is_in_the_home_folder(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert locate.cache_folder() == Path.home() / ".cache" / "mrcnn"


def test_a_user_without_a_home_folder(folders, monkeypatch):
    """`Path.home` raises this error, for example in a container with an unknown user id."""

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)
    folders[0].mkdir()
    (folders[0] / "w.h5").touch()
    assert locate.find_weights("w.h5") == Path("weights/w.h5")
    assert locate.download_folder() == folders[2]
    monkeypatch.delenv("MRCNN_WEIGHTS_DIR")
    folders[0].rename(folders[0].with_name("other"))
    with pytest.raises(locate.WeightsNotFoundError, match="no home folder .* Set MRCNN_WEIGHTS_DIR"):
        locate.download_folder()
