"""A trained network as users ask it: images in, answers and what its transformers did out."""

import functools
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jax.typing import ArrayLike
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.data.picture_files import as_seen, picture_of_array
from stn_jax.experiments.inference import TransformerView, best_answers, infer
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.tasks import find_task, read_image
from stn_jax.experiments.training.steps import TrainState
from stn_jax.transforms import Motion, grid_motion

NUM_ANSWERS = 3


class Answer(NamedTuple):
    """A possible answer for an image."""

    text: str  # as a person would write it
    probability: float


class Prediction(NamedTuple):
    """A network's answers for one image, and what its transformers did with it."""

    answers: Sequence[Answer]  # the most probable ones, best first
    image: np.ndarray  # [H, W, C], what the network received
    transformers: Mapping[str, TransformerView]  # by path, without a batch axis
    motions: Mapping[str, Motion]  # by path; `str` describes one

    @property
    def description(self) -> str:
        """What each transformer did to its picture in words; empty without transformers."""
        return "; then ".join(map(str, self.motions.values()))

    @property
    def transformed(self) -> np.ndarray | None:
        """What the transformer at the input passed on, [H', W', C] uint8; None without one.

        The lowest value of the input is black, and the highest one is white.
        """
        at_input = (v for v in self.transformers.values() if v.inputs.shape == self.image.shape)
        view = next(at_input, None)
        if view is None:
            return None
        low, high = self.image.min(), self.image.max()
        shares = (np.asarray(view.outputs, np.float32) - low) / (high - low or 1)
        return np.rint(255 * shares.clip(0, 1)).astype(np.uint8)


class Network(NamedTuple):
    """A trained network: `model.apply(variables, images)` returns logits."""

    model: nn.Module
    variables: dict[str, Any]  # "params" and, with batch normalisation, "batch_stats"
    config: ConfigDict  # of the run that trained it

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The (height, width, channels) of its images."""
        return find_task(self.config).input_shape(self.config)

    @property
    def labels(self) -> LabelKind:
        """The kind of its answers."""
        return find_task(self.config).labels(self.config)

    @property
    def state(self) -> TrainState:
        """Its variables as a state at step 0, without the optimiser's."""
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=self.variables["params"],
            batch_stats=self.variables.get("batch_stats", {}),
            opt_state=(),
        )

    def preprocess(self, image: str | PathLike | Image.Image | ArrayLike) -> np.ndarray:
        """Returns a picture as the network's input, [*input_shape] float32.

        Args:
            image: the path of a picture file, a Pillow image, or an array [H, W], [H, W, 1 or 3]
                of uint8 or of numbers in 0..1. It may have any size.

        Raises:
            UserError: the picture cannot be read or used; the message says why.
        """
        if isinstance(image, str | PathLike):
            return read_image(Path(image), self.config)
        picture = as_seen(image) if isinstance(image, Image.Image) else picture_of_array(image)
        return find_task(self.config).network_input(picture, self.config)

    def predict(self, images: ArrayLike, *, top: int = NUM_ANSWERS) -> list[Prediction]:
        """Returns the network's answers for a batch of images, [B, *input_shape].

        Args:
            images: as from `preprocess`.
            top: how many answers to give for each image, if there are as many.

        Raises:
            UserError: the images have another shape or other values than `preprocess` returns.
        """
        images = np.asarray(images)
        self._check(images)
        if not len(images):
            return []
        result, motions = _look(self.model, self.state, jnp.asarray(images, jnp.float32))
        result, motions = jax.device_get((result, motions))
        answers, chances = best_answers(result.probabilities, top)
        return [
            Prediction(
                answers=[
                    Answer(*each)
                    for each in zip(
                        self.labels.texts(answers[row]), chances[row].tolist(), strict=True
                    )
                ],
                image=images[row],
                transformers=jax.tree.map(lambda leaf, row=row: leaf[row], result.transformers),
                motions=jax.tree.map(lambda leaf, row=row: leaf[row], motions),
            )
            for row in range(len(images))
        ]

    def _check(self, images: np.ndarray) -> None:
        expected = self.input_shape
        remedy = "prepare each picture with .preprocess(picture)"
        if images.shape == expected:
            raise UserError(f"images must be a batch, got one image {expected}: pass image[None]")
        if images.ndim != 4 or images.shape[1:] != expected:
            shape = f"(B, {', '.join(map(str, expected))})"
            raise UserError(f"images must have shape {shape}, got {images.shape}: {remedy}")
        largest = find_task(self.config).LARGEST_VALUE
        # The negation also finds NaN.
        if images.dtype.kind != "f" or not np.all(np.abs(images) <= largest):
            ends = f"{images.min()}..{images.max()}" if images.size else "none"
            raise UserError(
                f"images must be floating-point numbers of at most {largest:g}, got {images.dtype} "
                f"in {ends}: {remedy}"
            )


@functools.partial(jax.jit, static_argnums=0)
def _look(model: nn.Module, state: TrainState, images: Array) -> Any:
    """Returns the `Inference` of images and each transformer's `Motion`, by path."""
    result = infer(model, state, images)
    motions = {
        path: jax.vmap(lambda grid, view=view: grid_motion(grid, view.inputs.shape[1:3]))(view.grid)
        for path, view in result.transformers.items()
    }
    return result, motions


def run_network(workdir: Path) -> Network:
    """Loads the newest state of a run.

    Raises:
        UserError: the folder holds no run, or no checkpoint that can be read.
    """
    # Slow imports, which a network of the package does not need.
    from stn_jax.experiments.training.checkpoints import restore
    from stn_jax.experiments.workdir.run_config import read_config

    config = read_config(workdir)
    model, state = restore(workdir, config)
    return Network(model, {"params": state.params, "batch_stats": state.batch_stats}, config)
