"""Detectors, and what they are built from."""
