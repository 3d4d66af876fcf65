"""What a run shows of its network: samples, theta over training, and a film."""

import functools
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from stn_jax.data.examples import label_texts
from stn_jax.errors import UserError
from stn_jax.files import write_atomically
from stn_jax.training.evaluation import transform
from stn_jax.training.experiment import Experiment
from stn_jax.training.film import frame_due, keep_frame, make_film
from stn_jax.training.logs import MetricLog
from stn_jax.training.prediction import most_probable
from stn_jax.training.steps import TrainState
from stn_jax.training.theta_history import add_thetas, classes
from stn_jax.visualization import draw_samples, png_bytes

NUM_EXAMPLES = 256
NUM_SAMPLES = 16
NUM_TOGETHER = 32  # so many examples pass the network at a time: feature maps of more fill memory
MOST_HISTOGRAMS = 8  # of one transformer: a thin plate spline has 32 parameters

SHARE = 0.01  # of the training time, for drawings and for histograms each
SECONDS_A_DRAWING, SECONDS_FOR_HISTOGRAMS = 1.5, 0.03  # expected of the first ones


class Allowance:
    """Says when something may be done that is to take no more than a share of the training time.

    Args:
        train_seconds: so far.
        share: of what comes after, 0..1.
        expected: how many seconds the first time may take; later ones are taken to cost as much as
            the dearest so far.
    """

    def __init__(self, train_seconds: float, *, share: float, expected: float):
        self._start = train_seconds
        self._share = share
        self._expected = expected
        self._spent = 0.0

    def allows(self, train_seconds: float) -> bool:
        """Whether the share is still kept if it is done now."""
        return self._spent + self._expected <= self._share * (train_seconds - self._start)

    def spend(self, seconds: float) -> None:
        """It took so long."""
        self._spent += seconds
        self._expected = max(self._expected, seconds)


class Pictures:
    """Draws and records what the network of one seed makes of fixed test examples.

    Writes `figures/samples.png`, `theta.npz`, pictures and histograms for TensorBoard and, where
    `config.log.film` asks for it, `film/`, `figures/training.gif` and `figures/training.mp4`. Only
    reads the state, and on one device, which is enough: training ends as it does without.
    """

    def __init__(self, config: ConfigDict, experiment: Experiment, workdir: Path, log: MetricLog):
        self._experiment = experiment
        self._workdir = workdir
        self._log = log
        self._for_drawings, self._for_histograms = (
            Allowance(log.train_seconds, share=SHARE, expected=expected)
            for expected in (SECONDS_A_DRAWING, SECONDS_FOR_HISTOGRAMS)
        )
        data = experiment.data
        self._labels = data.test.labels[:NUM_EXAMPLES]
        self._images = data.preprocessing.test(
            jnp.asarray(data.test.images[:NUM_EXAMPLES]), jnp.arange(len(self._labels))
        )
        self._film = bool(config.log.film)
        # One example of each class.
        self._film_places = np.unique(classes(self._labels), return_index=True)[1]

    def begin(self, state: TrainState) -> None:
        """Before the first step of this process. Raises UserError as `keep_frame`."""
        if int(state.step) == 0:
            self._record_thetas(0, state)
            if self._film:
                self.keep_frame(0, state)

    def frame_due(self, start: int, end: int) -> bool:
        """Whether the film has a frame after steps start..end-1."""
        return self._film and frame_due(start, end, self._experiment.num_steps)

    def keep_frame(self, step: int, state: TrainState) -> None:
        """Keeps what the film shows of this step.

        Raises:
            UserError: the network has no transformer.
        """
        images = self._images[self._film_places]
        seen = jax.device_get(transform(self._experiment.model, _on_one_device(state), images))
        if not seen.transformers:
            raise UserError(
                f"config.log.film shows transformers, and {self._experiment.model_name} has none: "
                "leave it out"
            )
        answers, _ = most_probable(seen.probabilities)
        labels = self._labels[self._film_places]
        keep_frame(self._workdir, step, seen, label_texts(answers), label_texts(labels))

    def evaluated(self, step: int, state: TrainState, train_seconds: float) -> None:
        """After an evaluation before the end: records theta, and shows what there is time for."""
        thetas = self._record_thetas(step, state)
        for allowance, show in (
            (self._for_histograms, lambda: self._write_histograms(step, thetas)),
            (self._for_drawings, lambda: self._draw_samples(step, state)),
        ):
            if allowance.allows(train_seconds):
                started = time.perf_counter()
                show()
                allowance.spend(time.perf_counter() - started)

    def finish(self, state: TrainState) -> None:
        """After the last step. Raises UserError as `make_film`."""
        step = int(state.step)
        self._write_histograms(step, self._record_thetas(step, state))
        self._draw_samples(step, state)
        if self._film:
            make_film(self._workdir, self._experiment.num_steps)

    def _record_thetas(self, step: int, state: TrainState) -> dict[str, np.ndarray]:
        model, state = self._experiment.model, _on_one_device(state)
        parts = [
            jax.device_get(_thetas(model, state, self._images[start : start + NUM_TOGETHER]))
            for start in range(0, len(self._images), NUM_TOGETHER)
        ]
        thetas = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
        if thetas:
            add_thetas(self._workdir, step, thetas, self._labels)
        return thetas

    def _draw_samples(self, step: int, state: TrainState) -> None:
        inputs, labels = self._images[:NUM_SAMPLES], self._labels[:NUM_SAMPLES]
        seen = transform(self._experiment.model, _on_one_device(state), inputs)
        images, seen = jax.device_get((inputs, seen))
        if len(seen.transformers) > 1:  # half as many examples, of which each takes more room
            images, labels, seen = jax.tree.map(
                lambda leaf: leaf[: NUM_SAMPLES // 2], (images, labels, seen)
            )
        answers, probabilities = most_probable(seen.probabilities)
        png = png_bytes(
            draw_samples(
                images,
                [(view.inputs, view.grid, view.outputs) for view in seen.transformers.values()],
                answers=label_texts(answers),
                labels=label_texts(labels),
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
                self._log.write_histogram(step, f"{path}/theta/{parameter}", values[:, parameter])


def _on_one_device(state: TrainState) -> TrainState:
    """What the network needs of a replicated state: the optimiser's part may be twice as much."""
    return jax.device_put(jax.device_get(state.replace(opt_state=())))


@functools.partial(jax.jit, static_argnums=0)
def _thetas(model: nn.Module, state: TrainState, images: Array) -> dict[str, Array]:
    """Each transformer's theta [B, P], by its path; what is only needed for more is left out."""
    views = transform(model, state, images).transformers
    return {path: view.theta.reshape(len(images), -1) for path, view in views.items()}
