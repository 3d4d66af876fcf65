"""Tests that a user's matplotlibrc changes no picture and breaks none."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

import stn_jax.visualization
from stn_jax.visualization import film, png_bytes
from tests.visualization.drawn import transformed

HOSTILE = {
    "text.usetex": True,  # there is no LaTeX, or one that lacks a package
    "font.family": ["no such font"],
    "mathtext.fontset": "stix",
    "figure.dpi": 7.0,
    "figure.facecolor": "red",
    "figure.constrained_layout.use": False,
    "axes.facecolor": "black",
    "axes.grid": True,
    "axes.unicode_minus": False,
    "axes.formatter.use_locale": True,
    "image.origin": "lower",
    "lines.linewidth": 40.0,
    "path.sketch": (1.0, 100.0, 2.0),
    "savefig.bbox": "tight",
    "savefig.dpi": 3.0,
    "savefig.format": "pdf",
    "savefig.transparent": True,
    "toolbar": "None",
}
images, grids, outputs = transformed(3)
texts, losses = ["1", "2", "3"], np.array([0.1, 2.0, 3.0])
FIGURES = {
    "draw_answer": lambda draw: draw(
        images[0], [(images[0], grids[0], outputs[0])], title="50%_#", captions=["a_b"]
    ),
    "draw_class_means": lambda draw: draw(images, outputs, np.array([0, 1, 1])),
    "draw_confusion": lambda draw: draw(np.array([[9, 1], [0, 10]]), ["cat", "dog"]),
    "draw_curves": lambda draw: draw(
        {name: (np.arange(1, 9), np.geomspace(1e-4, 10, 8)) for name in ("a_b", "c$")},
        title="50%_#",
        ylabel="nats",
        log=True,
    ),
    "draw_layers": lambda draw: draw([(images, grids, outputs)], images),
    "draw_samples": lambda draw: draw(
        *(images, [(images, grids, outputs)]),
        answers=texts,
        labels=["1", "2", "2"],
        probabilities=np.ones(3),
    ),
    "draw_theta_history": lambda draw: draw(
        np.arange(4), np.zeros((4, 3, 2)), np.arange(3), ["t_x", "t_y"]
    ),
    "draw_triptychs": lambda draw: draw(images, grids, outputs, titles=texts),
    "draw_worst": lambda draw: draw(
        images, outputs, answers=texts, labels=["7", "7", "3"], losses=losses
    ),
}


def drawn(name):
    return png_bytes(FIGURES[name](getattr(stn_jax.visualization, name)))


def test_every_figure_is_tested():
    assert {*FIGURES, "draw_grid", "png_bytes"} == set(stn_jax.visualization.__all__)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_under_any_settings(name):
    expected = drawn(name)
    with matplotlib.rc_context(HOSTILE):
        assert drawn(name) == expected
        assert all(matplotlib.rcParams[key] == value for key, value in HOSTILE.items())


def film_pictures():
    frame = film.Frame(0, [(images, grids, outputs)], texts, ["1", "2", "2"])
    steps, errors = np.array([0, 5]), np.array([90.0, 10.0])
    frames = [frame, frame._replace(step=9)]
    film_of = film.draw_film(frames, num_steps=9, error_steps=steps, error_percents=errors)
    return np.stack(list(film_of))


def test_a_film_is_the_same_under_any_settings():
    expected = film_pictures()
    with matplotlib.rc_context(HOSTILE):
        np.testing.assert_array_equal(film_pictures(), expected)


def test_the_settings_of_a_matplotlibrc_without_a_home_cost_at_most_a_line(tmp_path):
    """The user's file is also read before our code runs, and matplotlib wants to write a cache."""
    rc = tmp_path / "matplotlibrc"
    rc.write_text("text.usetex: True\nbackend: TkAgg\nfont.family: no such font\n")
    draw = "from tests.visualization.test_default_style import drawn; drawn('draw_curves')"
    settings = {"MATPLOTLIBRC": str(rc), "HOME": "/nonexistent", "XDG_CACHE_HOME": str(tmp_path)}
    environment = {name: os.environ[name] for name in os.environ if name != "MPLCONFIGDIR"}
    run = subprocess.run(
        [sys.executable, "-c", draw],
        env=environment | settings | {"XDG_CONFIG_HOME": "/nonexistent", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert len(run.stderr.splitlines()) <= 1
