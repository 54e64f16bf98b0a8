"""Backends that run a user's own ageing network, one module per file format."""
