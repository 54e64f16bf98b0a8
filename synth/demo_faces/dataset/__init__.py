"""The demo data set: photos of rendered people, planted label errors, and corrections made from the truth."""
