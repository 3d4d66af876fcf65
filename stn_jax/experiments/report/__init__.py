"""One HTML page about one or more runs: their results, pictures and settings."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from stn_jax.experiments.report import html, illustrations, text_tables
from stn_jax.experiments.report.illustrations import Illustration
from stn_jax.experiments.report.runs import Run, read_runs
from stn_jax.files import write_atomically


def write_report(workdirs: Sequence[Path], output: Path | None = None) -> Path:
    """Writes a page about runs and returns its path.

    By default it is `report.html` in the folder of the run or, of several runs, `comparison.html`
    in the folder of the first one.

    The page includes its pictures and needs no other file and no network. For the report, the
    newest checkpoint of each run is evaluated on its test set.

    Raises:
        UserError: a folder holds no run, or a run without a checkpoint; a folder is named twice;
            the runs belong to more than one task; or their data are not available.
    """
    path = output or workdirs[0] / ("report.html" if len(workdirs) == 1 else "comparison.html")
    write_atomically(path, render(read_runs(workdirs)))
    return path


def render(runs: Sequence[Run]) -> str:
    """Returns the page as HTML. Sections with nothing to show are left out."""
    curves = [html.figure(*picture) for picture in illustrations.curves(runs)]
    return html.page(
        f"Run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs compared",
        _introduction(runs),
        {
            "Results": _results(runs),
            "Curves": [html.beside(*curves)] if curves else [],
            "Test images": _of_each(runs, illustrations.samples),
            "Theta over training": _of_each(runs, illustrations.theta_history),
            "Class means": _of_each(runs, illustrations.class_means),
            "Confusion matrix": _of_each(runs, illustrations.confusion),
            "Worst errors": _of_each(runs, illustrations.worst),
            "Settings": [html.table(text_tables.all_settings(runs), _about_settings(runs))],
        },
    )


def _introduction(runs: Sequence[Run]) -> str:
    if len(runs) > 1:
        return f"Runs of the task {runs[0].config.task}: {', '.join(run.name for run in runs)}."
    run = runs[0]
    return (
        f"{run.network} on {run.dataset}: {text_tables.error_percent(run):.2f}% test error after "
        f"{run.step:,} of {run.num_steps:,} steps."
    )


def _results(runs: Sequence[Run]) -> list[str]:
    parts = [html.table(text_tables.results(runs), "Newest checkpoints on the whole test set")]
    by_group, published = text_tables.by_group(runs), text_tables.published(runs)
    caption = runs[0].labels.group_errors_caption
    if by_group is not None and caption is not None:
        parts.append(html.table(by_group, caption))
    if published is not None and any(run.compares for run in runs):
        others = [run.name for run in runs if not run.compares]
        note = ""
        if others:
            note = html.paragraph(
                "Published errors are for the official test set. These runs were tested on other "
                f"data, so their errors are not comparable: {', '.join(others)}."
            )
        parts.append(html.table(published, "Published test errors") + note)
    return [html.beside(*parts)]


def _about_settings(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return "All settings that the result depends on"
    return "All settings that the results depend on; those that differ come first"


def _of_each(runs: Sequence[Run], draw: Callable[[Run], Iterable[Illustration]]) -> list[str]:
    """Returns the runs' pictures of one kind, side by side."""
    figures = [
        html.figure(png, caption if len(runs) == 1 else f"{run.name}: {caption}")
        for run in runs
        for png, caption in draw(run)
    ]
    return [html.beside(*figures)] if figures else []
