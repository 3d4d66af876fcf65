"""The error of a training that cannot go on."""


class TrainingDivergedError(Exception):
    """The loss or the parameters are no longer finite.

    Commands print the message without a traceback and exit with code 1.
    """
