"""Rendered people: portraits drawn from a height field, with known truth and no real person in them."""
