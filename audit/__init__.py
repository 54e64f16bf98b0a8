"""What is wrong with a labelled set of face photos: labels, duplicates, strangers, quality, in one queue."""
