"""Explanations of a run's network: attention on regions of the picture, and shortcuts that need no face."""

from train.explain.attention import show_attention
from train.explain.shortcuts import audit_shortcuts

__all__ = ["audit_shortcuts", "show_attention"]
