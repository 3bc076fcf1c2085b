"""What starts steps: a process of its own, small and quick to fork. It imports nothing of the rest of the engine.

`server` hands each step to a launcher process that is free (`launcher`), which runs it on the host's folders or as PID 1
of a namespace with a root of its own (`root`). A launcher is kept for the next step as long as the last one left no trace.

Everything here runs as `python -I -S`, without site-packages: standard library only, and little of it, because what
pathlib and contextlib cost at import counts.
"""
