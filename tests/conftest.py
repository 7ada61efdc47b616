"""How Hypothesis runs: without a limit of time for one example, for machines are shared."""

from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
if settings.get_current_profile_name() != "ci":
    settings.load_profile("shared machine")
