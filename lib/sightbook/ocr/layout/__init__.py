"""Which words make lines and paragraphs."""
