"""The error that is raised when training cannot continue."""


class TrainingDivergedError(Exception):
    """Raised when the loss or the parameters are no longer finite.

    Commands print the message without a traceback and exit with code 1.
    """
