"""What prediction and export of all lines share; nothing here imports torch on its own."""
