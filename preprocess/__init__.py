"""What happens to a photo before training: find the face, place landmarks, crop, take the background away."""
