import shutil
import struct

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from stn_jax.errors import UserError
from stn_jax.experiments.inference import infer
from stn_jax.experiments.run_pictures import Allowance, RunPictures, check_film
from stn_jax.experiments.training.checkpoints import restore
from stn_jax.experiments.training.diverged import TrainingDivergedError
from stn_jax.experiments.training.loop import train_and_evaluate
from stn_jax.experiments.training.setup import make_setup
from stn_jax.experiments.workdir.film_frames import read_frames
from stn_jax.experiments.workdir.metrics import MetricLog
from stn_jax.experiments.workdir.run_config import read_config
from stn_jax.experiments.workdir.theta_history import read_theta_history
from stn_jax.transforms import make_family
from tests.experiments.tiny import read_metrics, tiny_config


def tensorboard_values(workdir):
    """Yields (step, value) for everything that was written to TensorBoard."""
    for path in workdir.glob("events.out.tfevents.*"):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            yield from ((event.step, value) for value in event.summary.value)
            content = content[16 + length :]


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("filmed")
    train_and_evaluate(tiny_config(log__film=True), workdir, RunPictures)
    return workdir


def test_the_film_shows_one_of_each_digit_from_step_0_to_the_end(filmed):
    frames = read_frames(filmed)
    assert [frame.step for frame in frames] == [0, 3, 6, 9, 10, 13, 16, 19, 20]
    assert all(frame.labels == [str(digit) for digit in range(10)] for frame in frames)
    with Image.open(filmed / "figures" / "training.gif") as gif:
        assert gif.n_frames == len(frames)
    assert (filmed / "figures" / "training.gif").stat().st_size < 2_000_000
    assert (filmed / "figures" / "training.mp4").exists() == bool(shutil.which("ffmpeg"))
    assert not list(filmed.rglob(".*"))


def test_training_is_the_same_without_a_film(filmed, tmp_path):
    train_and_evaluate(tiny_config(), tmp_path, RunPictures)
    chex.assert_trees_all_equal(
        *(restore(workdir, read_config(workdir))[1] for workdir in (filmed, tmp_path))
    )
    assert len(read_metrics(filmed)) == len(read_metrics(tmp_path))
    assert not (tmp_path / "film").exists()


def test_a_resumed_run_gives_the_same_film_and_thetas(filmed, tmp_path):
    """Frames and thetas that a killed run wrote after its last checkpoint are written again."""
    workdir = shutil.copytree(filmed, tmp_path / "resumed")
    shutil.rmtree(workdir / "checkpoints" / "20")
    names = ["film/000000020.npz", "figures/training.gif", "theta.npz"]
    for name in names[:2]:
        (workdir / name).write_bytes(b"")
    train_and_evaluate(tiny_config(log__film=True), workdir, RunPictures)
    for name in names:
        assert (workdir / name).read_bytes() == (filmed / name).read_bytes()


def test_thetas_of_every_evaluation_are_those_of_the_network(filmed):
    config = read_config(filmed)
    history = read_theta_history(filmed)
    np.testing.assert_array_equal(history.steps, [0, 10, 20])
    assert history.thetas["transformer"].shape == (3, 256, 6)
    np.testing.assert_array_equal(
        history.thetas["transformer"][0], np.broadcast_to([1, 0, 0, 0, 1, 0], (256, 6))
    )
    test = make_setup(config).data
    images = test.preprocessing.test(jnp.asarray(test.test.images[:40]), jnp.arange(40))
    theta = infer(*restore(filmed, config), images).transformers["transformer"].theta
    np.testing.assert_allclose(
        history.thetas["transformer"][-1, :40], theta.reshape(40, 6), atol=1e-5
    )
    np.testing.assert_array_equal(history.groups, test.test.labels[:256])


def test_tensorboard_gets_the_samples_and_thetas_histograms(filmed):
    values = list(tensorboard_values(filmed))
    pictures = [(step, v.tag) for step, v in values if v.HasField("image")]
    histograms = [(step, v.tag, v.histo.num) for step, v in values if v.HasField("histo")]
    assert pictures == [(10, "samples"), (20, "samples")]
    assert [at_the_end for at_the_end in histograms if at_the_end[0] == 20] == [
        (20, f"transformer/theta/{name}", 256) for name in make_family("affine").param_names
    ]


def test_a_film_that_fails_is_reported_and_the_result_is_there(filmed, tmp_path):
    workdir = shutil.copytree(filmed, tmp_path / "run")
    shutil.rmtree(workdir / "film")
    (workdir / "result.json").unlink()
    with pytest.raises(UserError, match="holds no frames"):
        train_and_evaluate(tiny_config(log__film=True), workdir, RunPictures)
    assert (workdir / "result.json").exists()


def test_a_film_of_a_run_that_was_trained_without_one_is_refused_at_once(filmed, tmp_path):
    config, silent = tiny_config(log__film=True), tiny_config()
    workdir = shutil.copytree(filmed, tmp_path / "run")
    for each in (config, silent):
        check_film(each, workdir)
    shutil.rmtree(workdir / "film")
    check_film(silent, workdir)
    with pytest.raises(UserError, match=rf"another folder, such as --workdir={workdir}-film"):
        check_film(config, workdir)
    (workdir / "result.json").unlink()  # not finished: the rest of it can be filmed
    check_film(config, workdir)


def test_a_film_of_a_network_without_transformers_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"config.log.film shows transformers, and fcn has none"):
        train_and_evaluate(tiny_config("fcn", log__film=True), tmp_path, RunPictures)


@pytest.fixture
def hook(filmed, tmp_path):
    """Returns the hook of a copy of the run, which may draw as much as it likes, and its state."""
    workdir = shutil.copytree(filmed, tmp_path / "run")
    config = read_config(workdir)
    with MetricLog(workdir, start_step=20) as log:
        pictures = RunPictures(config, make_setup(config), workdir, log)
        yield workdir, pictures, restore(workdir, config)[1]


def test_what_cannot_be_written_costs_one_line_each_and_not_the_training(hook, capfd):
    workdir, pictures, state = hook
    for folder in ("figures", "film"):
        shutil.rmtree(workdir / folder)
        (workdir / folder).write_text("")
    (workdir / "theta.npz").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"theta.npz cannot be read: remove it"):
        pictures.begin(state)
    capfd.readouterr()
    for step in (21, 22):
        pictures.look(step, state)
        pictures.evaluated(step, state, train_seconds=1e6)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all("was not written" in line for line in lines)


def with_theta(state, value):
    """Returns the state of a network whose transformer always predicts this theta."""
    localisation = state.params["transformer"]["localisation"]
    theta = jax.tree.map(jnp.zeros_like, localisation["theta"])
    theta["Dense_0"]["bias"] = jnp.full(6, value)
    transformer = state.params["transformer"] | {"localisation": localisation | {"theta": theta}}
    return state.replace(params=state.params | {"transformer": transformer})


def test_a_theta_of_any_finite_size_is_drawn_and_one_that_is_not_is_a_divergence(hook, capfd):
    workdir, pictures, state = hook
    capfd.readouterr()
    pictures.evaluated(21, with_theta(state, 1e37), train_seconds=1e6)
    pictures.finish(with_theta(state.replace(step=22), -1e37))
    assert capfd.readouterr().err == ""
    steps = [step for step, v in tensorboard_values(workdir) if v.HasField("histo")]
    assert {21, 22} <= set(steps)
    for value in (float("nan"), float("inf")):
        for call in (lambda bad: pictures.evaluated(23, bad, 0.0), pictures.finish):
            with pytest.raises(TrainingDivergedError, match="transformer's theta is not finite"):
                call(with_theta(state, value))


@given(
    start=st.floats(0, 1e5),
    intervals=st.lists(st.floats(0.01, 100), min_size=1, max_size=200),
    cost=st.floats(0.01, 1),
)
def test_what_is_allowed_stays_within_its_share(start, intervals, cost):
    allowance = Allowance(start, share=0.02, expected=1.0)
    spent, now, waited = 0.0, start, 0.0
    for interval in intervals:
        now += interval
        waited += interval
        if allowance.allows(now):
            allowance.spend(cost)
            spent, waited = spent + cost, 0.0
        assert spent <= 0.02 * (now - start) * (1 + 1e-6)
        assert waited <= 1 / 0.02 + 1e-3  # the allowance is used


def test_a_dear_drawing_is_made_up_for():
    allowance = Allowance(0.0, share=0.02, expected=1.0)
    allowance.spend(10.0)
    assert not allowance.allows(999.0)
    assert allowance.allows(1001.0)
