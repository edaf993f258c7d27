"""Labelled pages: reading, importing, preparing, writing."""
