"""Predictions for image files."""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from PIL import Image

from stn_jax.data.distortions import CANVAS
from stn_jax.errors import UserError
from stn_jax.training.evaluation import restore, transform
from stn_jax.workdir import read_config


class Prediction(NamedTuple):
    """What a network says of one image."""

    path: Path
    label: int
    probability: float
    theta: np.ndarray | None  # [params]; None where the network has no transformer


def predict_files(workdir: Path, paths: list[Path]) -> list[Prediction]:
    """Classifies image files with the newest checkpoint of a run.

    Raises:
        UserError: no file was named, one cannot be read, or there is no trained run in `workdir`.
    """
    if not paths:
        raise UserError("--mode=predict takes image files: name at least one, such as digit.png")
    config = read_config(workdir)
    images = np.stack([load_digit(path, CANVAS[config.data.distortion]) for path in paths])
    model, state = restore(workdir, config)
    result = transform(model, state, jnp.asarray(images))
    labels = np.asarray(result.probabilities.argmax(axis=-1))
    return [
        Prediction(
            path=path,
            label=int(label),
            probability=float(result.probabilities[row, label]),
            theta=None if result.theta is None else np.asarray(result.theta[row]),
        )
        for row, (path, label) in enumerate(zip(paths, labels, strict=True))
    ]


def load_digit(path: Path, canvas: int) -> np.ndarray:
    """An image file as the networks see digits: bright on black, [canvas, canvas, 1] in 0..1.

    Turned grey, on white where it is transparent; inverted if its border is brighter than mid-grey;
    shrunk to fit the canvas if it is larger (never enlarged) and put in its middle, on black.

    Raises:
        UserError: the file is missing or is no image that can be read.
    """
    try:
        with Image.open(path) as file:
            coloured = file.convert("RGBA")
            white = Image.new("RGBA", coloured.size, "white")
            grey = Image.alpha_composite(white, coloured).convert("L")
    except FileNotFoundError as error:
        raise UserError(f"no image file {path}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as an image: take a PNG or JPEG file") from error
    grey.thumbnail((canvas, canvas), Image.Resampling.LANCZOS)
    pixels = np.asarray(grey, np.float32) / 255
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if np.median(border) > 0.5:
        pixels = 1 - pixels
    height, width = pixels.shape
    image = np.zeros((canvas, canvas, 1), np.float32)
    top, left = (canvas - height) // 2, (canvas - width) // 2
    image[top : top + height, left : left + width, 0] = pixels
    return image
