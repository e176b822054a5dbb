"""What can be wrong with a training; raised anywhere in this package, printed by __main__.py as one sentence."""


class DataError(Exception):
    """Photos, labels or settings that cannot be trained on; the message names the file and the line."""


class Diverged(Exception):
    """The loss is no longer a number; the message names the step and the checkpoint that was kept."""
