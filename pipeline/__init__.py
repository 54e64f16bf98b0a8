"""How any stage runs: records in, the same records out with more columns, resumable and counted."""
