"""What a line says: the network, its data, its training."""
