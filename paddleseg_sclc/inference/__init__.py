"""From a trained network to probabilities, masks and pictures."""
