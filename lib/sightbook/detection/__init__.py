"""What the lines that find objects share: labels, models, training, metrics, prediction."""

from sightbook._moved import moved_names

__getattr__ = moved_names(__name__)
