"""Surfaces and cartridge bases drawn from seeds."""
