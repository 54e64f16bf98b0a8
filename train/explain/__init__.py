"""TODO train.explain."""

from train.explain.attention import show_attention
from train.explain.shortcuts import audit_shortcuts

__all__ = ["audit_shortcuts", "show_attention"]
