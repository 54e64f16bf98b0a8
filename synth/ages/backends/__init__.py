"""Networks of the user's own, each behind one file."""
