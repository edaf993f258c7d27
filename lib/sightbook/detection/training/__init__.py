"""Pictures as training gets them, and training itself."""
