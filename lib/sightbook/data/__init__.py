"""What data sets are made of and made by: shared by all lines."""
