"""The provable cache: a step is skipped only if every named part of its key is the same, and what it made is still there.

It is asked by the engine (`tiphys.engine.cache`), which knows no more of it. It runs no component and imports none: code is read,
servers are asked over their own protocols. docs/architecture/12-cache.md has the reasons.
"""
