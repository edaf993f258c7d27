"""Vision models that read and inspect photographs, driven by notebooks."""

__version__ = "0.1.0"
