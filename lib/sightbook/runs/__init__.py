"""What a run leaves behind: its folder, provenance, notebooks and report; what the machine has."""

from sightbook._moved import moved_names

__getattr__ = moved_names(__name__)
