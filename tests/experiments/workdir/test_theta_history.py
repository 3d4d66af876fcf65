import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.workdir.theta_history import add_thetas, read_theta_history

GROUPS = np.array([3, 1, 4], np.int32)


def thetas(step):
    return {"a/b": np.full((3, 6), step, np.float32), "steps": np.full((3, 2), -step, np.float32)}


def test_what_was_added_is_read_back(tmp_path):
    for step in (0, 10, 20):
        add_thetas(tmp_path, step, thetas(step), GROUPS)
    history = read_theta_history(tmp_path)
    np.testing.assert_array_equal(history.steps, [0, 10, 20])
    np.testing.assert_array_equal(history.groups, GROUPS)
    assert set(history.thetas) == {"a/b", "steps"}
    assert history.thetas["a/b"].shape == (3, 3, 6)
    np.testing.assert_array_equal(history.thetas["steps"][:, 2, 1], [0, -10, -20])
    assert [path.name for path in tmp_path.iterdir()] == ["theta.npz"]


def test_steps_that_are_done_again_are_replaced(tmp_path):
    for step in (0, 10, 20, 30, 20):
        add_thetas(tmp_path, step, thetas(step), GROUPS)
    np.testing.assert_array_equal(read_theta_history(tmp_path).steps, [0, 10, 20])


def test_a_run_without_transformers_has_none(tmp_path):
    assert read_theta_history(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"junk", b"PK", "half"])
def test_a_damaged_history_is_named_by_who_reads_it_and_who_adds_to_it(tmp_path, content):
    add_thetas(tmp_path, 0, thetas(0), GROUPS)
    path = tmp_path / "theta.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(UserError, match=r"theta.npz cannot be read: remove it"):
        read_theta_history(tmp_path)
    with pytest.raises(UserError, match=r"theta.npz cannot be read: remove it"):
        add_thetas(tmp_path, 10, thetas(10), GROUPS)


def test_arrays_of_another_program_are_no_history(tmp_path):
    np.savez(tmp_path / "theta.npz", steps=np.arange(3))
    with pytest.raises(UserError, match=r"theta.npz is not a record of thetas: it has no labels"):
        read_theta_history(tmp_path)
