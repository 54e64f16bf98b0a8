"""The contract: what a manifest is, how its versions are kept, corrected, split, compared and exported."""
