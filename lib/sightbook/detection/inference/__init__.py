"""Exported detectors: the graph, prediction with it, and its export."""
