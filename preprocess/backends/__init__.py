"""Background removers, one module each; their heavy imports stay in these modules."""
