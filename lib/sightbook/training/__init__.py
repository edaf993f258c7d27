"""One training loop for all lines, and where it runs."""

from sightbook._moved import moved_names

__getattr__ = moved_names(__name__)
