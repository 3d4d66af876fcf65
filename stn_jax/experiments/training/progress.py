"""Prints the progress of a run, and records the metrics of its steps."""

import collections
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np
from tqdm import tqdm

from stn_jax.experiments.durations import about
from stn_jax.experiments.training import hosts
from stn_jax.experiments.training.diverged import TrainingDivergedError
from stn_jax.experiments.training.evaluation import Evaluation
from stn_jax.experiments.training.parallel import Metrics
from stn_jax.experiments.training.steps import TrainState
from stn_jax.experiments.workdir.metrics import MetricLog

SECONDS_BETWEEN_LINES = 60.0
LONG = 3600.0
"""Seconds; a run that will take longer is announced."""

HOPELESS_LOSS = 1e4
"""Nats per example; to guess one of ten classes costs 2.3."""

_MARKS = 20  # the time left is judged by as many hundredths of the run


def progress_bar(total: int, unit: str, *, done: int = 0) -> tqdm:
    """Returns a bar on stderr, visible if that is a terminal of the process that prints."""
    return tqdm(
        total=total,
        initial=done,
        unit=unit,
        disable=not (hosts.is_writer() and sys.stderr.isatty()),
        dynamic_ncols=True,
        leave=False,
        bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]",
    )


class Progress:
    """Shows progress: a bar on a terminal, otherwise one line per minute and per evaluation."""

    def __init__(self, *, start_step: int, num_steps: int):
        self._num_steps = num_steps
        self._bar = progress_bar(num_steps, "step", done=start_step)
        self._last_line = 0.0
        self._starts = self._updates = 0
        self._marks = collections.deque[tuple[float, int]](maxlen=_MARKS)  # (time, step)
        self._left = self._state = ""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception) -> None:
        self._bar.close()

    def start(self, step: int) -> None:
        """Is called when training starts, and when it continues after an evaluation.

        The clock starts here, and again after the first evaluation, which compiles and draws.
        """
        self._starts += 1
        self._last_line = time.monotonic()
        if self._starts <= 2:
            self._marks.clear()
            self._marks.append((self._last_line, step))

    def update(self, step: int, *, loss: float, error: float, examples_per_second: float) -> None:
        """Updates the bar and the time left, and says once if that is long."""
        self._updates += 1
        seconds = self._seconds_left(step)
        self._left = f", {about(seconds)} left" if step < self._num_steps else ""
        state = f"loss {loss:.3f}, error {100 * error:.1f}%, {examples_per_second:.0f} examples/s"
        self._state = f"step {step}/{self._num_steps}: {state}{self._left}"
        self._bar.set_postfix_str(state + self._left, refresh=False)
        self._bar.update(step - self._bar.n)
        if self._updates == 2 and seconds > LONG:
            self.line(
                f"at this speed, the run takes about {about(seconds)}: Ctrl-C stops it, the same "
                "command resumes it; a smaller variant or fewer config.num_epochs take less"
            )

    def line_each_minute(self) -> None:
        """Prints a line if there is no bar and the last line is a minute old."""
        if self._bar.disable and time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self.line(self._state)

    def line(self, text: str) -> None:
        """Prints a line, above the bar if there is one."""
        self._bar.write(text, file=sys.stdout)
        sys.stdout.flush()
        self._last_line = time.monotonic()

    def evaluated(self, step: int, evaluation: Evaluation, *, rate: float) -> None:
        """Prints the test results and the time left."""
        self.line(
            f"step {step}/{self._num_steps}: test loss {evaluation.loss.mean():.4f}, "
            f"test error {evaluation.error_percent.mean():.2f}%, {rate:.0f} examples/s{self._left}"
        )

    def _seconds_left(self, step: int) -> float:
        """Returns the time until the end at the recent speed, which includes evaluations."""
        now = time.monotonic()
        (since, first), (_, last) = self._marks[0], self._marks[-1]
        if step - last >= self._num_steps / 100:
            self._marks.append((now, step))
        return (now - since) / (step - first) * (self._num_steps - step)


class StepRecorder:
    """Records the steps' metrics one dispatch late, so that the device never waits for the host.

    Without a log, which only the process that writes has, it checks and prints them.
    All metrics of every step must be finite. Means over `log_every` steps, or over
    a dispatch if it has more steps, are logged.

    Attributes:
        train_seconds: the time spent on training steps in all runs in this workdir, without
            compilation and evaluation.
        examples_per_second: the rate since this process started; 0 before the first step.
    """

    def __init__(
        self,
        log: MetricLog | None,
        progress: Progress,
        *,
        batch_size: int,
        log_every: int,
        learning_rate: Callable[[int], float],
    ):
        self.train_seconds = log.train_seconds if log else 0.0
        self._log = log
        self._progress = progress
        self._batch_size = batch_size
        self._log_every = log_every
        self._learning_rate = learning_rate
        self._unwritten: list[Metrics] = []
        self._unwritten_seconds = 0.0
        self._pending: tuple[int, int, Metrics] | None = None
        self._seconds = 0.0
        self._steps = 0
        self._clock = 0.0

    @property
    def examples_per_second(self) -> float:
        return self._steps * self._batch_size / self._seconds if self._seconds else 0.0

    def dispatched(self, begin: int, end: int, metrics: Metrics) -> None:
        """Notes that steps begin..end-1 were dispatched, and records the dispatch before them."""
        previous, self._pending = self._pending, (begin, end, metrics)
        if previous is None:
            self._clock = time.perf_counter()
            self._progress.start(begin)
        else:
            self._record(*previous)
            self._progress.line_each_minute()

    @contextlib.contextmanager
    def paused(self, state: TrainState) -> Iterator[None]:
        """Waits for the steps that led to `state`, and excludes time inside from training time."""
        jax.block_until_ready(state)
        started = time.perf_counter()
        yield
        self._clock += time.perf_counter() - started

    def finish(self) -> None:
        """Waits for the steps that were dispatched last, and records them."""
        previous, self._pending = self._pending, None
        if previous is not None:
            self._record(*previous)
            if self._unwritten:
                self._write(previous[1])

    def evaluated(self, step: int, evaluation: Evaluation) -> None:
        """Records and prints the test results after `step` steps."""
        if not (evaluation.loss < HOPELESS_LOSS).all():
            raise _diverged("test loss", step, evaluation.loss.max())
        self._log_metrics(
            step,
            {
                "test_loss": evaluation.loss,
                "test_error_percent": evaluation.error_percent,
                **{f"test_{name}": value for name, value in evaluation.details.items()},
                "train_seconds": self.train_seconds,
            },
        )
        self._progress.evaluated(step, evaluation, rate=self.examples_per_second)

    def _record(self, begin: int, end: int, metrics: Metrics) -> None:
        host = {name: value[: end - begin] for name, value in jax.device_get(metrics).items()}
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        for name in ("loss", "gradient_norm", *host):  # the first of these is named
            broken = np.argwhere(~np.isfinite(host[name]))
            if broken.size:
                first = tuple(broken[0])  # (step, ...): also the seed and theta's entry, if any
                raise _diverged(name, begin + int(first[0]) + 1, host[name][first])
        self.train_seconds += seconds
        self._seconds += seconds
        self._steps += end - begin
        self._unwritten.append(host)
        self._unwritten_seconds += seconds
        if sum(len(metrics["loss"]) for metrics in self._unwritten) >= self._log_every:
            self._write(end)
        self._progress.update(
            end,
            loss=host["loss"].mean(),
            error=host["error"].mean(),
            examples_per_second=(end - begin) * self._batch_size / seconds,
        )

    def _write(self, step: int) -> None:
        steps = jax.tree.map(lambda *parts: np.concatenate(parts), *self._unwritten)
        means = {name: value.mean(axis=0) for name, value in steps.items()}
        rate = len(steps["loss"]) * self._batch_size / self._unwritten_seconds
        self._log_metrics(
            step,
            {
                **means,
                "learning_rate": self._learning_rate(step - 1),
                "examples_per_second": rate,
                "train_seconds": self.train_seconds,
            },
        )
        self._unwritten, self._unwritten_seconds = [], 0.0

    def _log_metrics(self, step: int, metrics: Mapping[str, float | np.ndarray]) -> None:
        if self._log:
            self._log.write(step, metrics)


def _diverged(what: str, step: int, value: float) -> TrainingDivergedError:
    return TrainingDivergedError(
        f"the {what} of step {step} is {value:.6g}: training was stopped; earlier checkpoints are "
        "kept. Try a lower config.optimizer.learning_rate or "
        "config.optimizer.localisation_multiplier"
    )
