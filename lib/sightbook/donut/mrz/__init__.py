"""The machine-readable zone of ICAO Doc 9303: formats, names, parsing, building."""
