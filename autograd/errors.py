"""The errors: what happened, to which node, and what to do."""


class AutogradError(Exception):
    """Any error of the engine for which Python has no type of its own."""


class StaleGraphError(AutogradError):
    """A leaf was written after the graph was recorded from it."""


class AnomalyError(AutogradError):
    """A value or a gradient turned inf or nan inside `detect_anomaly()`."""


class GradcheckError(AutogradError):
    """A derivative differs from the finite differences of its function."""


class TraceError(AutogradError, TypeError):
    """A function being compiled asked a Value for its number, as a bool say, or wrote to one."""


class MissingExtraError(AutogradError, ImportError):
    """A package of an optional extra is not installed; the text names the extra."""
