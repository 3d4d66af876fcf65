"""What a run keeps for its film: a file a frame, so that a resumed run gives the same film."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stn_jax.errors import UserError
from stn_jax.files import read_arrays, write_atomically
from stn_jax.training.evaluation import Transformed
from stn_jax.training.logs import read_records
from stn_jax.visualization.film import Frame, draw_film, gif_bytes, mp4_bytes
from stn_jax.visualization.style import as_picture

MOST_FRAMES = 80

_VIEW = ("inputs", "grids", "outputs")


def frame_due(start: int, end: int, num_steps: int) -> bool:
    """Whether a frame belongs to the end of steps start..end-1.

    Frames lie closer at the start, where more happens: the n-th of N at (n / N)^2 of all steps.
    """
    wanted = (np.arange(MOST_FRAMES + 1) / MOST_FRAMES) ** 2 * num_steps
    return bool(np.any((start < wanted) & (wanted <= end)))


def keep_frame(
    workdir: Path, step: int, seen: Transformed, answers: Sequence[str], labels: Sequence[str]
) -> None:
    """Keeps what the network makes of the film's examples after `step` steps."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {}
    for number, view in enumerate(seen.transformers.values()):
        # A film needs no more digits, and feature maps are shown as the mean over their channels.
        inputs, grids, outputs = map(np.asarray, (view.inputs, view.grid, view.outputs))
        kept = as_picture(inputs), grids, as_picture(outputs)
        for name, array in zip(_VIEW, kept, strict=True):
            arrays[f"{number}/{name}"] = array.astype(np.float16)
    np.savez_compressed(content, answers=np.array(answers), labels=np.array(labels), **arrays)
    path = workdir / "film" / f"{step:09d}.npz"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content.getvalue())


def read_frames(workdir: Path) -> list[Frame]:
    """The frames that a run has kept, by their steps. Raises UserError if one is damaged."""
    return [_read_frame(path) for path in sorted((workdir / "film").glob("*.npz"))]


def _read_frame(path: Path) -> Frame:
    arrays = read_arrays(path)
    count = sum(name.endswith(_VIEW[0]) for name in arrays)
    transformers = [
        tuple(np.asarray(arrays[f"{n}/{name}"], np.float32) for name in _VIEW) for n in range(count)
    ]
    return Frame(int(path.stem), transformers, list(arrays["answers"]), list(arrays["labels"]))


def make_film(workdir: Path, num_steps: int) -> None:
    """Writes `figures/training.gif`, and `training.mp4` where there is ffmpeg, from the frames.

    Raises:
        UserError: there are no frames, or one is damaged.
    """
    frames = read_frames(workdir)
    if not frames:
        raise UserError(
            f"{workdir} holds no frames of a film: they are kept while a run trains with "
            "--config.log.film=True"
        )
    records = [r for r in read_records(workdir / "metrics.jsonl") if "error" in r]
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
    except RuntimeError as error:  # the GIF is there, and training was not for the film
        print(f"no training.mp4: {error}", file=sys.stderr)
    else:
        if video is not None:
            write_atomically(folder / "training.mp4", video)
