"""Draws the pictures of a report from the findings in its runs."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from stn_jax.experiments.report.findings import Shown
from stn_jax.experiments.report.runs import Run
from stn_jax.transforms import make_family
from stn_jax.visualization import (
    draw_class_means,
    draw_confusion,
    draw_curves,
    draw_layers,
    draw_samples,
    draw_theta_history,
    draw_worst,
    png_bytes,
)

NUM_SAMPLES, NUM_LAYERED = 16, 3
POINTS_PER_CURVE = 100
MOST_CLASSES, MOST_GROUPS = 60, 40


class Illustration(NamedTuple):
    """A PNG and its caption."""

    png: bytes
    caption: str


def curves(runs: Sequence[Run]) -> list[Illustration]:
    """Plots each loss and error of all runs against the number of training examples seen."""
    plots = {
        "training loss": ("loss", 1, "nats"),
        "test loss": ("test_loss", 1, "nats"),
        "training error": ("error", 100, "per cent"),
        "test error": ("test_error_percent", 1, "per cent"),
    }
    pictures = []
    for title, (key, factor, unit) in plots.items():
        lines = {run.name: line for run in runs if (line := _curve(run, key, factor)) is not None}
        if lines:
            figure = draw_curves(
                lines,
                title=title,
                ylabel=f"{title}, {unit}",
                xlabel="training examples seen",
                log=all((values > 0).all() for _, values in lines.values()),
            )
            pictures.append(Illustration(png_bytes(figure), title.capitalize()))
    return pictures


def _curve(run: Run, key: str, factor: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns training examples seen and values, or None if there are none.

    Of many points, neighbours are averaged.
    """
    # Runs of many seeds have lists of values.
    points = [(r["step"], r[key]) for r in run.records if isinstance(r.get(key), int | float)]
    if not points:
        return None
    steps, values = np.array(points, float).T
    if len(points) > POINTS_PER_CURVE:
        parts = np.ceil(steps / steps.max() * POINTS_PER_CURVE)
        each = [parts == part for part in np.unique(parts)]
        steps, values = (np.array([x[part].mean() for part in each]) for x in (steps, values))
    return steps * run.config.batch_size, values * factor


def samples(run: Run) -> Iterator[Illustration]:
    """Draws the first test images, what transformers do with them, and the answers."""
    shown = run.findings.first.head(NUM_SAMPLES)
    figure = draw_samples(
        shown.images,
        shown.transformers[:1],
        answers=run.labels.texts(shown.answers),
        labels=run.labels.texts(shown.labels),
        probabilities=shown.probabilities,
    )
    what = f"where {_first_of(shown)} reads them, its output, " if shown.transformers else ""
    yield Illustration(png_bytes(figure), f"Test images, {what}and the answers' probabilities")
    if len(shown.transformers) > 1:
        some = shown.head(NUM_LAYERED)
        figure = draw_layers(some.transformers, some.images)
        yield Illustration(png_bytes(figure), "What each transformer reads from its input")


def theta_history(run: Run) -> Iterator[Illustration]:
    """Draws each transformer's parameters over training, if they were recorded."""
    if run.theta_history is None:
        return
    steps, thetas, groups = run.theta_history
    names = make_family(run.config.model.family).param_names
    texts = np.array([run.labels.group_text(group) for group in groups])
    for place, values in enumerate(thetas.values()):
        which = "the transformer" if len(thetas) == 1 else f"transformer {place + 1}"
        caption = f"Parameters of {which}, by {run.labels.group_name}"
        params = values[..., : len(names)]  # a homography's last entry is fixed
        yield Illustration(png_bytes(draw_theta_history(steps, params, texts, names)), caption)


def class_means(run: Run) -> Iterator[Illustration]:
    """Draws class means before and after the first transformer, if there is one.

    The more alike the images of a class are, the sharper is their mean.
    """
    found = run.findings
    if found.outputs is not None:
        labels = found.labels[: len(found.images)]
        groups = [run.labels.group_text(group) for group in run.labels.groups(labels)]
        names, counts = np.unique(groups, return_counts=True)
        shown = np.isin(groups, names[np.argsort(-counts, kind="stable")][:MOST_GROUPS])
        figure = draw_class_means(
            found.images[shown], found.outputs[shown], np.array(groups)[shown]
        )
        means = f"Means of {shown.sum()} test images and of {_first_of(found.first)}'s outputs"
        yield Illustration(png_bytes(figure), f"{means}, by {run.labels.group_name}")


def confusion(run: Run) -> Iterator[Illustration]:
    """Draws how often each class is taken for another; each part of a label counts separately."""
    labels, names = run.labels, run.labels.class_names
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (run.findings.labels.ravel(), run.findings.answers.ravel()), 1)
    caption = labels.confusion_caption
    if len(names) > MOST_CLASSES:
        wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
        kept = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
        counts, names = counts[np.ix_(kept, kept)], [names[place] for place in kept]
        caption += f", of the {MOST_CLASSES} classes with the most errors"
    yield Illustration(png_bytes(draw_confusion(counts, names)), caption)


def worst(run: Run) -> Iterator[Illustration]:
    """Draws the wrong answers of highest loss, if there are any."""
    shown = run.findings.worst
    if run.findings.wrong.any():
        figure = draw_worst(
            shown.images,
            shown.transformers[0][2] if shown.transformers else None,
            answers=run.labels.texts(shown.answers),
            labels=run.labels.texts(shown.labels),
            losses=shown.losses,
        )
        yield Illustration(png_bytes(figure), "Wrong answers of highest loss, in nats")


def _first_of(shown: Shown) -> str:
    return "the transformer" if len(shown.transformers) == 1 else "the first transformer"
