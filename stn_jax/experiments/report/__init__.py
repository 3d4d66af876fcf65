"""One HTML page about one or more runs: what they were, what came out, what it looks like."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from stn_jax.experiments.report import html, illustrations, text_tables
from stn_jax.experiments.report.illustrations import Illustration
from stn_jax.experiments.report.runs import Run, read_runs
from stn_jax.files import write_atomically


def write_report(workdirs: Sequence[Path]) -> Path:
    """Writes `report.html` into the first of the runs' folders, and gives its path.

    The page holds its pictures and needs no other file and no network. The runs' newest checkpoints
    are tried on their test sets for it.

    Raises:
        UserError: a folder holds no run, or one without a checkpoint; it is named twice; the runs
            are of more than one task; or their data cannot be had.
    """
    path = workdirs[0] / "report.html"
    write_atomically(path, render(read_runs(workdirs)))
    return path


def render(runs: Sequence[Run]) -> str:
    """The page as HTML. Sections that have nothing to show are left out."""
    curves = [html.figure(*picture) for picture in illustrations.curves(runs)]
    return html.page(
        f"Run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs compared",
        _introduction(runs),
        {
            "Results": _results(runs),
            "Curves": [html.beside(*curves)] if curves else [],
            "Test images": _of_each(runs, illustrations.samples),
            "Spatial transformers": _of_each(runs, illustrations.transformers),
            "Theta over training": _of_each(runs, illustrations.theta_history),
            "Class means": _of_each(runs, illustrations.class_means),
            "Confusion matrix": _of_each(runs, illustrations.confusion),
            "Worst errors": _of_each(runs, illustrations.worst),
            "Settings": [html.table(text_tables.all_settings(runs), _about_settings(runs))],
        },
    )


def _introduction(runs: Sequence[Run]) -> str:
    if len(runs) > 1:
        return f"{', '.join(run.name for run in runs)}: the same task, {runs[0].config.task}."
    run = runs[0]
    return (
        f"{run.network} on {run.dataset}: {text_tables.error_percent(run):.2f}% test error after "
        f"{run.step:,} of {run.num_steps:,} steps."
    )


def _results(runs: Sequence[Run]) -> list[str]:
    parts = [html.table(text_tables.results(runs), "Newest checkpoints on their whole test sets")]
    by_group, paper = text_tables.by_group(runs), text_tables.paper(runs)
    caption = runs[0].labels.group_errors_caption
    if by_group is not None and caption is not None:
        parts.append(html.table(by_group, caption))
    if paper is not None:
        note = ""
        others = [run.name for run in runs if not run.compares]
        if others:
            note = html.paragraph(
                f"The paper's errors are of data.source={runs[0].paper_source}. Other data were "
                f"tested on by {', '.join(others)}: these errors do not compare."
            )
        parts.append(html.table(paper, "The paper's test errors") + note)
    return [html.beside(*parts)]


def _about_settings(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return "All settings that the result depends on"
    return "All settings that the results depend on, first those that differ"


def _of_each(runs: Sequence[Run], draw: Callable[[Run], Iterable[Illustration]]) -> list[str]:
    """The runs' pictures of one kind."""
    figures = [
        html.figure(png, caption if len(runs) == 1 else f"{run.name}: {caption}")
        for run in runs
        for png, caption in draw(run)
    ]
    return [html.beside(*figures)] if figures else []
