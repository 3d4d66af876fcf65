import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.inference import Inference, TransformerView
from stn_jax.experiments.run_pictures import make_film
from stn_jax.experiments.workdir import film_frames
from stn_jax.visualization import film as drawing
from tests.visualization.drawn import transformed


@given(num_steps=st.integers(1, 200_000), longest=st.integers(1, 500))
def test_frames_are_few_lie_closer_at_the_start_and_include_the_end(num_steps, longest):
    dispatches = list(itertools.pairwise([*range(0, num_steps, longest), num_steps]))[-500:]
    due = [end for start, end in dispatches if film_frames.frame_due(start, end, num_steps)]
    assert due[-1] == num_steps
    assert len(due) <= film_frames.MOST_FRAMES
    if longest == 1 and num_steps <= 500:
        gaps = np.diff([0, *due])
        assert gaps[: len(gaps) // 2].sum() <= gaps[len(gaps) // 2 :].sum()


@pytest.fixture
def kept(tmp_path):
    """Writes two frames of three examples, with transformers on an image and a feature map."""
    views = {
        name: TransformerView(inputs, np.zeros((3, 6)), grids, outputs)
        for name, (inputs, grids, outputs) in (
            ("first", transformed(3, channels=3)),
            ("second", transformed(3, channels=5)),
        )
    }
    for step, answers in ((10, ["1", "2", "9"]), (0, ["0", "0", "0"])):
        seen = Inference(np.zeros(()), views)
        film_frames.keep_frame(tmp_path, step, seen, answers, ["1", "2", "3"])
    return tmp_path, views


def test_frames_come_back_in_their_order_as_they_are_shown(kept):
    workdir, views = kept
    first, last = film_frames.read_frames(workdir)
    assert (first.step, last.step) == (0, 10)
    assert last.answers == ["1", "2", "9"]
    assert last.labels == ["1", "2", "3"]
    for view, (inputs, grids, outputs) in zip(views.values(), last.transformers, strict=True):
        np.testing.assert_allclose(grids, view.grid, atol=1e-3)
        assert inputs.shape[-1] == outputs.shape[-1] == (3 if view.inputs.shape[-1] == 3 else 1)
        np.testing.assert_allclose(inputs.mean(-1), view.inputs.mean(-1), atol=1e-3)


def test_a_film_is_written_even_if_the_video_fails(kept, monkeypatch, capsys):
    workdir, _ = kept
    monkeypatch.setattr(drawing.shutil, "which", lambda name: "false")
    make_film(workdir, num_steps=10)
    assert "no training.mp4: ffmpeg failed" in capsys.readouterr().err
    assert [path.name for path in (workdir / "figures").iterdir()] == ["training.gif"]
    with Image.open(workdir / "figures" / "training.gif") as gif:
        assert gif.n_frames == 2


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_frame_is_named(kept, share):
    frame = kept[0] / "film" / "000000010.npz"
    content = frame.read_bytes()
    frame.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"000000010.npz cannot be read: remove it"):
        make_film(kept[0], num_steps=10)


def test_a_film_of_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no frames .* --config.log.film=True"):
        make_film(tmp_path, num_steps=10)
