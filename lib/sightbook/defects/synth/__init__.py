"""Surfaces drawn from seeds."""
