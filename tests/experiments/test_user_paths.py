from pathlib import Path

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.user_paths import expanded, user_path


def test_the_tilde_is_the_home_folder_at_the_start_only(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert user_path("~/x", "--workdir") == Path("/somewhere/x")
    assert user_path("~", "--workdir") == Path("/somewhere")
    assert user_path("a/~", "--workdir") == Path("a/~")
    assert user_path("a~b é", "--workdir") == Path("a~b é")


@pytest.mark.parametrize(
    "text", ["", "\0", "a\nb", "\x1b[31m", "\udcff", "a\u202eb", "~no_such_user_here/x"]
)
def test_paths_that_cannot_be_used_are_told_with_the_option(text):
    with pytest.raises(UserError, match=r"^--workdir") as error:
        user_path(text, "--workdir")
    assert str(error.value).isprintable()


def test_pictures_may_have_any_name(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/a\nb.png", "an image file") == Path("/somewhere/a\nb.png")
    with pytest.raises(UserError, match="an image file is empty"):
        expanded("", "an image file")
