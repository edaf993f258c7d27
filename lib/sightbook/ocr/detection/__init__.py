"""Where words are: the network, its data, its training."""
