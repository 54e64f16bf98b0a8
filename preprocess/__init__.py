"""Preprocessing of photos: detect the face, place landmarks, crop, remove the background, treat ambiguous ages."""
