"""The same examples in every run, and none is timed: a test that fails fails everywhere."""

from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")
