"""Draws what the network of a run does while it trains: samples, thetas and a film."""

import contextlib
import functools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from stn_jax.errors import UserError, one_line
from stn_jax.experiments.inference import infer, most_probable
from stn_jax.experiments.training.diverged import TrainingDivergedError
from stn_jax.experiments.training.setup import Setup
from stn_jax.experiments.training.steps import TrainState
from stn_jax.experiments.workdir.film_frames import frame_due, has_frames, keep_frame, read_frames
from stn_jax.experiments.workdir.metrics import MetricLog, read_metrics
from stn_jax.experiments.workdir.result import read_result
from stn_jax.experiments.workdir.theta_history import add_thetas, read_theta_history
from stn_jax.files import write_atomically
from stn_jax.visualization import draw_samples, png_bytes
from stn_jax.visualization.film import draw_film, gif_bytes, mp4_bytes

NUM_EXAMPLES = 256
NUM_SAMPLES = 16
NUM_TOGETHER = 32  # examples per forward pass: more would fill the memory
MOST_HISTOGRAMS = 8  # per transformer: a thin plate spline has 32 parameters

SHARE = 0.01  # of the training time, for drawings and for histograms separately
SECONDS_A_DRAWING, SECONDS_FOR_HISTOGRAMS = 1.5, 0.03  # expected for the first ones


class Allowance:
    """Decides when to run a task that must not exceed a share of the training time.

    Args:
        train_seconds: the training time so far.
        share: the share of the training time from now on, 0..1.
        expected: the expected duration of the first time, in seconds; later times are expected to
            take as long as the longest so far.
    """

    def __init__(self, train_seconds: float, *, share: float, expected: float):
        self._start = train_seconds
        self._share = share
        self._expected = expected
        self._spent = 0.0

    def allows(self, train_seconds: float) -> bool:
        """Returns whether the task stays within its share if it runs now."""
        return self._spent + self._expected <= self._share * (train_seconds - self._start)

    def spend(self, seconds: float) -> None:
        """Records how long the task took."""
        self._spent += seconds
        self._expected = max(self._expected, seconds)


class RunPictures:
    """Draws and records what the network of one seed does with fixed test examples.

    Writes `figures/samples.png`, `theta.npz`, pictures and histograms for TensorBoard and, if
    `config.log.film` is set, `film/`, `figures/training.gif` and `figures/training.mp4`. It only
    reads the state, on one device, so the trained parameters are the same with and without it.
    If a picture cannot be drawn or written, one line says why and training continues.

    It implements `stn_jax.experiments.training.hooks.Hook`: pass the class to `train_and_evaluate`.
    """

    def __init__(self, config: ConfigDict, setup: Setup, workdir: Path, log: MetricLog):
        self._experiment = setup
        self._workdir = workdir
        self._log = log
        self._for_drawings, self._for_histograms = (
            Allowance(log.train_seconds, share=SHARE, expected=expected)
            for expected in (SECONDS_A_DRAWING, SECONDS_FOR_HISTOGRAMS)
        )
        data = setup.data
        self._labels = data.test.labels[:NUM_EXAMPLES]
        self._groups = setup.labels.groups(self._labels)
        self._images = data.preprocessing.test(
            jnp.asarray(data.test.images[:NUM_EXAMPLES]), jnp.arange(len(self._labels))
        )
        self._has_drawn = False
        self._film = bool(config.log.film)
        self._told: set[str] = set()  # each failure is reported once
        # One example of each group.
        self._film_places = np.unique(self._groups, return_index=True)[1]

    def begin(self, state: TrainState) -> None:
        """Records the initial state if the run starts at step 0.

        Raises:
            UserError: if the network has no transformer to film, or an earlier process of this run
                left a damaged record.
        """
        step = int(state.step)
        read_theta_history(self._workdir)
        if step == 0:
            self._record_thetas(0, state)
            if self._film:
                self._keep_frame(0, state)

    def wants(self, start: int, end: int) -> bool:
        """Returns whether a frame of the film is due after steps start..end-1."""
        return self._film and frame_due(start, end, self._experiment.num_steps)

    def look(self, step: int, state: TrainState) -> None:
        """Writes the film's frame of this step."""
        with self._optional("a frame of the film"):
            self._keep_frame(step, state)

    def evaluated(self, step: int, state: TrainState, train_seconds: float) -> None:
        """Records the thetas, and draws the first time and as much as the allowances permit.

        Raises:
            TrainingDivergedError: if a theta is not finite.
        """
        thetas: dict[str, np.ndarray] = {}
        with self._optional("theta.npz"):
            thetas = self._record_thetas(step, state)
        for allowance, show in (
            (self._for_histograms, lambda: self._write_histograms(step, thetas)),
            (self._for_drawings, lambda: self._draw_samples(step, state)),
        ):
            if not self._has_drawn or allowance.allows(train_seconds):
                started = time.perf_counter()
                with self._optional("a picture"):
                    show()
                allowance.spend(time.perf_counter() - started)
        self._has_drawn = True

    def finish(self, state: TrainState) -> None:
        """Records and draws the final state; raises UserError like `make_film`.

        Raises:
            TrainingDivergedError: if a theta is not finite.
        """
        step = int(state.step)
        with self._optional("theta.npz"):
            self._write_histograms(step, self._record_thetas(step, state))
        with self._optional("figures/samples.png"):
            self._draw_samples(step, state)
        if self._film:
            with self._optional("the film", but=UserError):
                make_film(self._workdir, self._experiment.num_steps)

    @contextlib.contextmanager
    def _optional(self, what: str, but: type[Exception] = TrainingDivergedError) -> Iterator[None]:
        """Reports a failure in one line, unless it is a `but` or a divergence, which are raised."""
        try:
            yield
        except (TrainingDivergedError, but):
            raise
        except Exception as error:
            text = f"{what} was not written: {one_line(error)[:200]}"
            if text not in self._told:
                print(text, file=sys.stderr)
            self._told.add(text)

    def _keep_frame(self, step: int, state: TrainState) -> None:
        images = self._images[self._film_places]
        seen = jax.device_get(infer(self._experiment.model, _on_one_device(state), images))
        if not seen.transformers:
            raise UserError(
                f"config.log.film shows transformers, and {self._experiment.model_name} has none: "
                "leave it out"
            )
        answers, _ = most_probable(seen.probabilities)
        texts = self._experiment.labels.texts
        labels = self._labels[self._film_places]
        keep_frame(self._workdir, step, seen, texts(answers), texts(labels))

    def _record_thetas(self, step: int, state: TrainState) -> dict[str, np.ndarray]:
        model, state = self._experiment.model, _on_one_device(state)
        parts = [
            jax.device_get(_thetas(model, state, self._images[start : start + NUM_TOGETHER]))
            for start in range(0, len(self._images), NUM_TOGETHER)
        ]
        thetas = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
        for path, theta in thetas.items():
            if not np.isfinite(theta).all():
                raise TrainingDivergedError(
                    f"{path}'s theta is not finite after step {step}: training was stopped; "
                    "earlier checkpoints are kept. Try a lower "
                    "config.optimizer.localisation_multiplier"
                )
        if thetas:
            add_thetas(self._workdir, step, thetas, self._groups)
        return thetas

    def _draw_samples(self, step: int, state: TrainState) -> None:
        inputs, labels = self._images[:NUM_SAMPLES], self._labels[:NUM_SAMPLES]
        seen = infer(self._experiment.model, _on_one_device(state), inputs)
        images, seen = jax.device_get((inputs, seen))
        if len(seen.transformers) > 1:  # each example takes more room: show half as many
            images, labels, seen = jax.tree.map(
                lambda leaf: leaf[: NUM_SAMPLES // 2], (images, labels, seen)
            )
        answers, probabilities = most_probable(seen.probabilities)
        png = png_bytes(
            draw_samples(
                images,
                [(view.inputs, view.grid, view.outputs) for view in seen.transformers.values()],
                answers=self._experiment.labels.texts(answers),
                labels=self._experiment.labels.texts(labels),
                probabilities=probabilities,
            )
        )
        folder = self._workdir / "figures"
        folder.mkdir(exist_ok=True)
        write_atomically(folder / "samples.png", png)
        self._log.write_picture(step, "samples", png)

    def _write_histograms(self, step: int, thetas: dict[str, np.ndarray]) -> None:
        for path, values in thetas.items():
            count = values.shape[1]
            shown = np.linspace(0, count - 1, min(MOST_HISTOGRAMS, count)).round().astype(int)
            for parameter in shown:
                self._log.write_histogram(step, path, int(parameter), values[:, parameter])


def _on_one_device(state: TrainState) -> TrainState:
    """Copies what the network needs to one device.

    The optimiser's state is left out, because it may be twice as large.
    """
    return jax.device_put(jax.device_get(state.replace(opt_state=())))


@functools.partial(jax.jit, static_argnums=0)
def _thetas(model: nn.Module, state: TrainState, images: Array) -> dict[str, Array]:
    """Returns each transformer's theta [B, P] by path; the compiler drops everything else."""
    views = infer(model, state, images).transformers
    return {path: view.theta.reshape(len(images), -1) for path, view in views.items()}


def check_film(config: ConfigDict, workdir: Path) -> None:
    """Raises UserError if the config asks for a film of a run that was trained without one."""
    if config.log.film and read_result(workdir) and not has_frames(workdir):
        raise UserError(
            f"the run in {workdir} was trained without a film, which cannot be drawn afterwards: "
            f"train it again in another folder, such as --workdir={workdir}-film"
        )


def make_film(workdir: Path, num_steps: int) -> None:
    """Writes `figures/training.gif` from the frames and, if ffmpeg is installed, `training.mp4`.

    Raises:
        UserError: if there are no frames, or one is damaged.
    """
    frames = read_frames(workdir)
    if not frames:
        raise UserError(
            f"{workdir} holds no frames of a film: they are only written while training with "
            "--config.log.film=True"
        )
    print(f"drawing the film, {len(frames)} frames", flush=True)
    records = [r for r in read_metrics(workdir / "metrics.jsonl") if "error" in r]
    pictures = list(
        draw_film(
            frames,
            num_steps=num_steps,
            error_steps=np.array([record["step"] for record in records]),
            error_percents=np.array([100 * record["error"] for record in records]),
        )
    )
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    write_atomically(folder / "training.gif", gif_bytes(pictures))
    try:
        video = mp4_bytes(pictures)
    except RuntimeError as error:  # the GIF exists, and the run must not fail for a video
        print(f"no training.mp4: {error}", file=sys.stderr)
    else:
        if video is not None:
            write_atomically(folder / "training.mp4", video)
