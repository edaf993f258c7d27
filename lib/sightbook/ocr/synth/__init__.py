"""Pages and lines drawn from a seed."""
