"""The zone's way: find it, straighten it, read its lines."""
