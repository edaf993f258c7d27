"""Exported networks at work, as the ocrs engine runs them."""
