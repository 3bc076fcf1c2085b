"""Replay: a step that failed leaves a capsule with all that it had, and runs once more from it, alone and here.

`leave.py` makes a capsule where a step has failed, `rebuild.py` makes one from a Workflow with its status; `capsule.py` is
its form, `redaction.py` keeps secrets out of it. `rerun.py` runs one through the engine's own executor, `terminal.py` and
`inside.py` give it a person's terminal, `compare.py` says whether it ended as it did the first time.
"""
