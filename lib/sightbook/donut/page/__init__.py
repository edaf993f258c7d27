"""The original Donut's way: the whole page in, a token sequence out."""
