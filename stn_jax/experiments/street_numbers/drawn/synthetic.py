"""Archives of synthetic street numbers in SVHN's Format 1: section 4.2 without a download."""

import collections
import contextlib
import functools
import io
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.locks import LOCK_FILE, locked
from stn_jax.experiments.street_numbers.drawn.drawing import LAYOUTS, draw_picture
from stn_jax.experiments.street_numbers.svhn.format1 import Box, write_archive

GENERATOR_VERSION = 1
"""Must be increased whenever the same settings would result in different pictures."""

RECORD = "synthetic.json"
_SPLITS = ("train", "test")
_BESIDE = ".drawing-"
_CHUNK = 32  # pictures that a process draws at a time
_MAX_PROCESSES = 16
_WORTH_PROCESSES = 200  # pictures; starting processes takes as long as drawing a few hundred

DrawnPicture = tuple[bytes, list[Box]]  # a PNG, and the boxes of its digits


def write_synthetic(folder: Path, *, layout: str, train: int, test: int, seed: int) -> None:
    """Draws street numbers into `folder`/train.tar.gz and `folder`/test.tar.gz.

    Does nothing if they exist with exactly these settings, which are stored next to them in
    synthetic.json. Picture i of a split depends only on layout, seed, split and i. Processes that
    share the work are spawned, so a script that calls this function needs a `__main__` guard.

    Args:
        folder: the folder of the archives, created if it is missing.
        layout: "close" or "wide", as in `draw_picture`.
        train: number of pictures in the training set, at least 1.
        test: number of pictures in the test set, at least 1.
        seed: the random seed, at least 0.

    Raises:
        UserError: a setting is out of its range, or the folder holds other archives or cannot be
          written. The folder is left as it was.
    """
    check_choice(layout, LAYOUTS, "layout of synthetic numbers")
    for name, value, least in (("train", train, 1), ("test", test, 1), ("seed", seed, 0)):
        if value < least:
            raise UserError(f"config.data.synthetic.{name} must be at least {least}, got {value}")
    settings = {
        "layout": layout,
        "train": train,
        "test": test,
        "seed": seed,
        "generator_version": GENERATOR_VERSION,
    }
    if _is_written(folder, settings) and not (folder / LOCK_FILE).exists():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _process_pool(train + test) as pool, locked(folder):
            for leftover in folder.glob(f"{_BESIDE}*"):  # of a process that was killed
                shutil.rmtree(leftover, ignore_errors=True)
            if _is_written(folder, settings):  # by another process
                return
            print(f"drawing {train} + {test} street numbers into {folder}", flush=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=_BESIDE) as beside:
                _write(Path(beside), settings, pool)
                # The record is moved first, because archives without one count as somebody else's.
                for name in (RECORD, *map(_archive, _SPLITS)):
                    Path(beside, name).replace(folder / name)
    except (OSError, BrokenProcessPool) as error:
        raise UserError(
            f"cannot write synthetic numbers to {folder} ({getattr(error, 'strerror', error)}): "
            "make room there or choose another --config.data.data_dir=DIR"
        ) from error


def _archive(split: str) -> str:
    return f"{split}.tar.gz"


def _is_written(folder: Path, settings: dict[str, Any]) -> bool:
    """Returns whether both archives exist; raises UserError if the folder holds anything else."""
    present = [_archive(split) for split in _SPLITS if (folder / _archive(split)).exists()]
    remedy = "delete that folder to have them drawn again, or choose another"
    try:
        recorded = json.loads((folder / RECORD).read_text())
    except FileNotFoundError:
        if present:
            raise UserError(
                f"{folder} holds {' and '.join(present)} but no {RECORD}, so they are not the "
                "requested synthetic numbers: choose another folder"
            ) from None
        return False
    except (OSError, RecursionError, ValueError) as error:
        raise UserError(f"{folder / RECORD} cannot be read ({error}): {remedy}") from error
    if recorded != settings:
        raise UserError(
            f"{folder} holds synthetic numbers with other settings ({json.dumps(recorded)}, not "
            f"{json.dumps(settings)}): {remedy}"
        )
    return len(present) == len(_SPLITS)


def _write(folder: Path, settings: dict[str, Any], pool: ProcessPoolExecutor | None) -> None:
    (folder / RECORD).write_text(json.dumps(settings) + "\n")
    for number, split in enumerate(_SPLITS):
        draw = functools.partial(_draw_range, settings["layout"], (settings["seed"], number))
        pictures = tqdm(
            _draw_in_order(draw, settings[split], pool),
            total=settings[split],
            desc=f"drawing {split} numbers",
            disable=not sys.stderr.isatty(),
        )
        write_archive(folder / _archive(split), split, pictures)


@contextlib.contextmanager
def _process_pool(pictures: int) -> Iterator[ProcessPoolExecutor | None]:
    """Yields a pool of processes to draw that many pictures, or None if they are few."""
    if pictures < _WORTH_PROCESSES:
        yield None
        return
    # Spawned, because JAX's threads may hold locks that a forked process would wait for.
    context = multiprocessing.get_context("spawn")
    processes = min(os.cpu_count() or 1, _MAX_PROCESSES)
    pool = ProcessPoolExecutor(processes, context, initializer=_end_with_the_parent)
    try:
        # The first process starts before the caller takes a lock: without a `__main__` guard it
        # would get here too, fail, and must not wait.
        _submit(pool, os.getpid)
        yield pool
    finally:
        # Does not wait, because a thread that was interrupted during its start cannot be joined.
        pool.shutdown(wait=False, cancel_futures=True)


def _end_with_the_parent() -> None:
    """Ends this process as soon as its parent has ended, even if that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _submit(pool: ProcessPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Future:
    """Gives work to a pool, which starts its processes then, without SIGINT.

    A terminal sends Ctrl-C to all processes, and each would print a traceback. This one gets it
    afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _draw_in_order(
    draw: Callable[[int, int], list[DrawnPicture]], count: int, pool: ProcessPoolExecutor | None
) -> Iterator[DrawnPicture]:
    """Yields `count` pictures; a pool draws ahead, but only so far that memory use stays small."""
    ahead: collections.deque[Future[list[DrawnPicture]]] = collections.deque()
    for start in range(0, count, _CHUNK):
        stop = min(start + _CHUNK, count)
        if pool is None:
            yield from draw(start, stop)
            continue
        ahead.append(_submit(pool, draw, start, stop))
        if len(ahead) > 2 * _MAX_PROCESSES:
            yield from ahead.popleft().result()
    while ahead:
        yield from ahead.popleft().result()


def _draw_range(layout: str, seed: tuple[int, int], start: int, stop: int) -> list[DrawnPicture]:
    pictures = []
    for index in range(start, stop):
        image, boxes = draw_picture(np.random.default_rng((*seed, index)), layout)
        png = io.BytesIO()
        # A higher level takes twice as long and saves nothing on noisy pictures.
        Image.fromarray(image).save(png, "PNG", compress_level=1)
        pictures.append((png.getvalue(), boxes))
    return pictures
