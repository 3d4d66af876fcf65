"""The frames of a run's film, one file each, so that a resumed run produces the same film."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stn_jax.errors import UserError, one_line
from stn_jax.experiments.inference import Inference
from stn_jax.experiments.workdir.npz_files import read_arrays
from stn_jax.files import write_atomically
from stn_jax.visualization.film import Frame
from stn_jax.visualization.style import as_picture, check_images, check_same_length

MOST_FRAMES = 80

_VIEW = ("inputs", "grids", "outputs")


def frame_due(start: int, end: int, num_steps: int) -> bool:
    """Returns whether a frame is due at the end of steps start..end-1.

    Frames are closer together at the start, where more happens: frame n of N is due at (n / N)^2 of
    all steps.
    """
    wanted = (np.arange(MOST_FRAMES + 1) / MOST_FRAMES) ** 2 * num_steps
    return bool(np.any((start < wanted) & (wanted <= end)))


def keep_frame(
    workdir: Path, step: int, seen: Inference, answers: Sequence[str], labels: Sequence[str]
) -> None:
    """Writes a frame of what the network does with the film's examples after `step` steps."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {}
    for number, view in enumerate(seen.transformers.values()):
        # float16 is precise enough for a film, which shows the mean of a feature map's channels.
        inputs, grids, outputs = map(np.asarray, (view.inputs, view.grid, view.outputs))
        kept = as_picture(inputs), grids, as_picture(outputs)
        for name, array in zip(_VIEW, kept, strict=True):
            largest = np.finfo(np.float16).max
            arrays[f"{number}/{name}"] = array.clip(-largest, largest).astype(np.float16)
    np.savez_compressed(content, answers=np.array(answers), labels=np.array(labels), **arrays)
    path = workdir / "film" / f"{step:09d}.npz"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content.getvalue())


def has_frames(workdir: Path) -> bool:
    """Returns whether frames were kept of the run in `workdir`."""
    return bool(_paths(workdir))


def read_frames(workdir: Path) -> list[Frame]:
    """Reads the frames of a run, in order; raises UserError if one is damaged."""
    paths = _paths(workdir)
    frames = [_read_frame(path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if _shapes(frame) != _shapes(frames[0]):
            raise UserError(f"{path} does not match {paths[0]}: remove one of them")
    return frames


def _paths(workdir: Path) -> list[Path]:
    return sorted((workdir / "film").glob("[0-9]" * 9 + ".npz"))


def _read_frame(path: Path) -> Frame:
    arrays = read_arrays(path)
    try:
        count = sum(name.endswith(_VIEW[0]) for name in arrays)
        transformers = [
            tuple(np.asarray(arrays[f"{n}/{name}"], np.float32) for name in _VIEW)
            for n in range(count)
        ]
        texts = [arrays[name] for name in ("answers", "labels")]
        if not transformers or any(text.ndim != 1 or text.dtype.kind != "U" for text in texts):
            raise ValueError("it has no transformers or no texts")
        for inputs, grids, outputs in transformers:
            check_images(inputs=inputs, grids=grids, outputs=outputs)
            check_same_length(inputs=inputs, answers=texts[0], labels=texts[1])
            if grids.shape[-1] != 2:
                raise ValueError(f"its grids have shape {grids.shape}")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read: {one_line(error)}; remove it to continue without it"
        ) from error
    return Frame(int(path.stem), transformers, list(texts[0]), list(texts[1]))


def _shapes(frame: Frame) -> list:
    return [frame.labels, *([array.shape for array in parts] for parts in frame.transformers)]
