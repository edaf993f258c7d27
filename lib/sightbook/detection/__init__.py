"""What the lines that find objects share: labels, models, training, metrics, prediction."""
