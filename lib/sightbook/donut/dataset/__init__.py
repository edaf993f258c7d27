"""Data sets in the Donut folder format: reading, checking, importing, writing."""
