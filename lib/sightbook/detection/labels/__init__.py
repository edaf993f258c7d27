"""Data sets of pictures with boxes: formats, checks, splits, what people see of them."""
