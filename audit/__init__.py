"""Audit of labelled face photos: wrong labels, duplicates, identity mismatches and poor quality in one queue.

`features` describes each picture, `scoring` holds the statistical models, `checks` applies them, one module and one
table row each, and `results` writes columns, queue and report.
"""
