"""The benchmarks: labkit beside plain Celery, in one run, alternating."""
