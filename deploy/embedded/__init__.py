"""Embedded mode: broker, database and services as private processes on this machine, without Docker.

`python -m deploy.embedded run|up|down|status|token|chat` (what `make run`, `make up`, ... call) is a thin shell over
`deploy.embedded.stack.Stack`, which tests and benchmarks use directly. For development and tests: it knows how to run
services, never what they do, and imports none of them.
"""
