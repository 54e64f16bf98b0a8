"""One script per claim of docs/explanation/benchmarks.md; `--json` prints the figures as one JSON object on the last
line.
"""
