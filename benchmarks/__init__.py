"""One script per claim of docs/benchmarks.md; `--json` prints its figures as one object on the last line."""
