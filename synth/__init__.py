"""Synthesis: masks on faces, moved ages, plans that balance a data set with them, and rendered demo people."""
