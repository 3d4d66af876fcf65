"""Made-up results of rows, which take no time to train."""

from stn_jax.experiments.robustness.moves import MOVES

ERRORS = {"r-fcn": 2.0, "r-cnn": 1.5, "rts-fcn": 5.4, "rts-cnn": 0.8, "rts-deep_cnn-modern": 1.0}


def fake_runs(row: str, seeds, error: float | None = None, robustness: bool = False) -> list[dict]:
    """Returns runs in which each seed's error is 0.1 percentage points above the one before.

    On moved images, each error is 0.5 above the one at the amount before.
    """
    error = ERRORS[row] if error is None else error

    def curves(error: float) -> dict:
        return {
            kind: [[amount, error + place / 2] for place, amount in enumerate(amounts)]
            for kind, amounts in MOVES.items()
        }

    return [
        {
            "seed": seed,
            "test_error_percent": error + 0.1 * seed,
            "examples": 480_000,
            "train_seconds": 30.0,
            "seeds_together": len(seeds),
            "device": "1 x cpu",
            "error_curve": [[240_000, error + 1], [480_000, error + 0.1 * seed]],
            **({"robustness": curves(error + 0.1 * seed)} if robustness else {}),
        }
        for seed in seeds
    ]
