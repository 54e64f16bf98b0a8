"""Training on a manifest: fit, evaluate, explain and compare networks that predict the 18 classes."""
