"""Face embedders: an image and where its face is → a vector in which one person's photos lie close together."""
