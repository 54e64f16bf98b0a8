"""Train on a manifest, measure over the epoch, and report what the data was worth."""
