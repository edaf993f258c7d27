"""Cartridge bases drawn from seeds."""
