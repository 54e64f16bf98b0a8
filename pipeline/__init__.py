"""The machinery of every stage: records in, the same records out with more columns, resumable and counted."""
