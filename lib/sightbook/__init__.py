"""Vision models that read and inspect photographs, driven by notebooks."""

from sightbook import _moved

__version__ = "0.1.0"

_moved.install()
