"""Traffic signs that tensorflow-datasets (tfds) keeps on disk: prepared once, then only read."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.data import prepared_data, tfds_support
from stn_jax.experiments.traffic_signs.gtsrb.archives import ARCHIVES, URL, archives_in
from stn_jax.experiments.user_paths import expanded

_NAMES = [name for names in ARCHIVES.values() for name in names]


class Sign(NamedTuple):
    """A picture of a traffic sign."""

    png: bytes  # RGB, 8 bits
    label: int  # 0..42
    track: int  # pictures of the same sign have the same one within a class; -1 in the test set
    roi: np.ndarray  # [4] float32: left, top, right, bottom of the sign in pixels, in the picture
    name: str  # of its file


def prepare(data_dir: str | None, manual_dir: str | None) -> Any:
    """Returns tfds's builder of GTSRB, with the splits "train" and "test", prepared if necessary.

    The preparation prints to stderr what was left out, one line for each split; the same report is
    available later as `builder.info.metadata[split]`.

    Args:
        data_dir: tfds's folder, which contains `gtsrb/`. Empty: tfds's default.
        manual_dir: a folder with the archives. Empty: the official ones are downloaded.

    Raises:
        UserError: archives are missing or unusable, there is no network to fetch them, `data_dir`
            cannot be written, or the prepared data are damaged or were made from other archives.
    """
    archives = archives_in(expanded(manual_dir, "config.data.manual_dir") if manual_dir else None)
    root = tfds_support.root(data_dir)
    return prepared_data.prepare(
        KIND,
        root,
        manual_dir,
        archive_sizes={
            split: sum(path.stat().st_size for path in paths) for split, paths in archives.items()
        },
        check_sources=lambda: _check_sources(root, manual_dir, archives),
    )


def read_signs(builder: Any, split: str) -> Iterator[Sign]:
    """Yields the signs of a split, always in the same order, reading them as they are needed.

    Raises:
        UserError: the prepared data are damaged.
    """
    return prepared_data.read_records(KIND.items, builder, split, _parse)


def _parse(feature: Any) -> Sign:
    (png,) = feature["image"].bytes_list.value
    (label,) = feature["label"].int64_list.value
    (track,) = feature["track"].int64_list.value
    (name,) = feature["file_name"].bytes_list.value
    top, left, bottom, right = feature["roi"].float_list.value
    width, height = prepared_data.png_size(png)
    edges = np.array([left * width, top * height, right * width, bottom * height], np.float32)
    return Sign(png, label, track, edges, name.decode())


def _check_sources(
    root: Path, manual_dir: str | None, archives: Mapping[str, tuple[Path, ...]]
) -> None:
    """Raises UserError unless there are archives to prepare from, or a network to fetch them."""
    if manual_dir:
        tfds_support.manual_folder(manual_dir, _NAMES)
        found = {path.name for paths in archives.values() for path in paths}
        missing = [name for name in _NAMES if name not in found]
        if missing:
            raise UserError(
                f"--config.data.manual_dir={manual_dir} lacks {', '.join(missing)}: put GTSRB's "
                f"archives there, such as those of {URL}"
            )
    elif not tfds_support.answers(URL + _NAMES[0]):
        raise UserError(
            f"GTSRB is not in {root} and {URL} cannot be reached: run with "
            f"--config.data.manual_dir=DIR, where DIR holds the archives {', '.join(_NAMES)}, or "
            "on a machine with a network, or with --config.data.data_dir=DIR, where GTSRB is "
            "already prepared in DIR"
        )


def _builder_class() -> Any:
    from stn_jax.experiments.traffic_signs.gtsrb.gtsrb_dataset_builder import Builder

    return Builder


def _summary(split: str, report: dict[str, Any]) -> str:
    line = prepared_data.summary(split, report, "signs")
    if report["resized"]:
        line += f"; of another size than they are listed with: {report['resized']}"
    return line


KIND = prepared_data.Kind(
    "traffic signs", ARCHIVES, ARCHIVES, builder_class=_builder_class, summary=_summary
)
