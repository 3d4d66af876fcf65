import io
import shutil

import numpy as np
import pytest
from PIL import Image

from stn_jax.visualization import film
from stn_jax.visualization.film import Frame, draw_film, gif_bytes, mp4_bytes
from tests.visualization.drawn import transformed


def frames(num_transformers):
    images, grids, outputs = transformed(3)
    labels = ["1", "2", "3"]
    return [
        Frame(0, [(images, grids, outputs)] * num_transformers, ["3", "2", "1"], labels),
        Frame(10, [(images, grids / 2, outputs)] * num_transformers, labels, labels),
    ]


def draw(some_frames):
    return list(
        draw_film(
            some_frames,
            num_steps=20,
            error_steps=np.array([5, 20]),
            error_percents=np.array([9, 1]),
        )
    )


def test_pictures_are_of_one_even_size_and_grow_with_the_transformers():
    heights = []
    for number in (1, 2):
        first, last = draw(frames(number))
        assert first.shape == last.shape
        assert first.dtype == np.uint8
        assert first.shape[0] % 2 == first.shape[1] % 2 == 0
        assert np.any(first != last)
        heights.append(first.shape[0])
    assert heights[1] > heights[0]


def test_a_frame_does_not_depend_on_those_before_it():
    both = frames(1)
    np.testing.assert_array_equal(draw(both)[1], draw(both[1:])[0])


def noise(count):
    return list(np.random.default_rng(0).integers(0, 255, (count, 40, 60, 3), np.uint8))


def read_gif(content):
    with Image.open(io.BytesIO(content)) as gif:
        durations = []
        for number in range(gif.n_frames):
            gif.seek(number)
            durations.append(gif.info["duration"])
        return np.asarray(gif.convert("RGB"), float), durations


def test_a_gif_waits_at_its_end_and_keeps_colours():
    pictures = [np.full((40, 60, 3), shade, np.uint8) for shade in (0, 120, 240)]
    last, durations = read_gif(gif_bytes(pictures))
    assert durations == [100, 100, 3000]
    assert np.abs(last - 240).max() < 10


def test_a_gif_that_would_be_too_large_leaves_frames_out_but_not_the_last(monkeypatch):
    pictures = noise(9)
    last, _ = read_gif(gif_bytes(pictures))
    monkeypatch.setattr(film, "MOST_GIF_BYTES", len(gif_bytes(pictures)) // 2)
    content = gif_bytes(pictures)
    assert len(content) <= film.MOST_GIF_BYTES
    kept, durations = read_gif(content)
    np.testing.assert_array_equal(kept, last)
    assert durations == [400, 400, 3000]


def test_there_is_no_video_without_ffmpeg(monkeypatch):
    monkeypatch.setattr(film.shutil, "which", lambda name: None)
    assert mp4_bytes(noise(2)) is None


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_video_is_an_mp4():
    assert mp4_bytes(noise(2))[4:8] == b"ftyp"
