"""SVHN's full numbers as a data set of tensorflow-datasets (tfds), written without TensorFlow.

Importing this file registers the data set for `tfds.builder("svhn_full_numbers")`.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from stn_jax.errors import UserError
from stn_jax.experiments.data.picture_shards import KeyedExamples, picture_shards
from stn_jax.experiments.data.unusable import leave_out
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS, NO_DIGIT
from stn_jax.experiments.street_numbers.svhn.format1 import (
    SPLITS,
    URL,
    Archive,
    ArchivePicture,
    archive_url,
    archives_in,
    check_archive,
    read_pictures,
)
from stn_jax.experiments.street_numbers.svhn.svhn_full_numbers.usable import (
    TOO_LONG,
    to_example,
)


class Builder(tfds.core.ShardBasedBuilder):
    """SVHN's full numbers, or other numbers from archives of the same format.

    The builder is based on shards, not on one generator, with which tfds would keep up to a
    gigabyte in memory and need TensorFlow for more. The examples are in the order of the archive.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="svhn", description="The official Street View House Numbers.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The archives train.tar.gz and test.tar.gz, and extra.tar.gz if there is one: the official "
        "ones or others of the same format. If none of them is there, the official ones are "
        "fetched."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                    "file_name": tfds.features.Text(),
                    "length": tfds.features.Scalar(np.int32, doc="Number of digits, 1..5."),
                    "digits": tfds.features.Tensor(
                        shape=(MAX_DIGITS,),
                        dtype=np.int32,
                        doc=f"0..9, and {NO_DIGIT} after the last digit.",
                    ),
                    "bboxes": tfds.features.Sequence(
                        tfds.features.BBoxFeature(), doc="One box for each digit, cut at the edge."
                    ),
                }
            ),
            supervised_keys=("image", "digits"),
            homepage=URL,
            license="non-commercial use only",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> Mapping[str, Sequence[Callable[[], KeyedExamples]]]:
        manual_dir = None
        with contextlib.suppress(AssertionError):  # there is none, or it is empty
            manual_dir = Path(dl_manager.manual_dir)
        if not (paths := archives_in(manual_dir)):
            urls = {split: archive_url(split) for split in SPLITS}
            paths = {split: Path(path) for split, path in dl_manager.download(urls).items()}
        archives = {split: self._checked(path, split) for split, path in paths.items()}
        return {split: self._shards(split, archive) for split, archive in archives.items()}

    def _checked(self, path: Path, split: str) -> Archive:
        # tfds makes this folder and renames it to the data's; a killed process leaves nothing else.
        scratch = Path(self.data_dir)
        archive = check_archive(path, split, scratch)
        official = self.url_infos[archive_url(split)]
        has_official_size = archive.num_bytes == int(official.size)
        if has_official_size and archive.sha256 != official.checksum:
            raise UserError(
                f"{path} is altered: it has the size of the official archive but another checksum; "
                f"fetch it again from {archive_url(split)}"
            )
        report = self.info.metadata[split] = {
            "archive_bytes": archive.num_bytes,
            "archive_sha256": archive.sha256,
            "official": has_official_size,
            "listed": len(archive.digit_struct.names),
            "kept": 0,
            "cut_at_the_edge": 0,
            "left_out": {},
        }
        for row, name in enumerate(archive.digit_struct.names):
            if archive.rows[name] != row:
                leave_out(report, "listed twice", name, path)
            elif name not in archive.members:
                leave_out(report, "not in the archive", name, path)
        return archive

    def _shards(self, split: str, archive: Archive) -> list[Callable[[], KeyedExamples]]:
        report = self.info.metadata[split]

        def counted(picture: ArchivePicture) -> dict[str, Any]:
            example, cut = to_example(picture)
            report["cut_at_the_edge"] += cut
            return example

        return picture_shards(
            read_pictures(archive),
            len(archive.members),
            counted,
            report,
            archive.path,
            split=split,
            intended=(TOO_LONG,),
        )
