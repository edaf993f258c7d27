"""Figures: what notebooks, reports and drawn copies of images share."""
