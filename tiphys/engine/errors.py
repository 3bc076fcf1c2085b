"""What can go wrong in the engine: each error names the thing, what is wrong with it, and what to do.

::

    EngineError          a problem that a person can act on; printed without a traceback
     ├─ ManifestError    refused before anything runs: the manifest is wrong or asks for what a laptop lacks
     │   └─ UnreadableError   a file of manifests is not there, or is no text
     ├─ UnknownRunError       no run of that name in this state folder
     ├─ StateLockedError      another engine holds the state folder
     ├─ RunChangedError       another process has deleted or changed the run meanwhile
     ├─ JournalDamagedError   the journal, or one run's rows in it, can't be read
     ├─ EventRefusedError     an event that can't be taken
     │   └─ EventsFullError     too many events wait: it may be sent again later
     └─ TemplateError    a step can't be made: the node ends in Error with this text, as on Argo
         ├─ ExpressionError   an expression does not parse, or fails
         ├─ AbsentOptionalError    a tag names the output of a skipped step that has no default
         └─ UnresolvedError        a tag that must have a value has none yet
"""

from __future__ import annotations


class EngineError(Exception):
    """A problem that a person can act on."""


class ManifestError(EngineError):
    """The manifest is refused before anything runs."""


class UnreadableError(ManifestError):
    """A file is not there, may not be read, or is no text."""


class UnknownRunError(EngineError):
    """No run of that name."""


class StateLockedError(EngineError):
    """Another engine holds the state folder."""


class RunChangedError(EngineError):
    """Another process has deleted or changed the run meanwhile."""


class JournalDamagedError(EngineError):
    """The journal, or one run's rows in it, can't be read."""


class EventRefusedError(EngineError):
    """An event that can't be taken: too large, or not of an event's shape."""


class EventsFullError(EventRefusedError):
    """Too many events wait to be delivered; the same may be sent again later."""


class TemplateError(EngineError):
    """A template or a step can't be made from what is known; becomes the node's message."""


class ExpressionError(TemplateError):
    """An expression does not parse, or its evaluation fails; `at` is the place in its text."""

    def __init__(self, message: str, at: int = -1) -> None:
        """`at` counts characters from 0; -1 where it is not known."""
        super().__init__(message)
        self.at = at

    def shown_in(self, text: str) -> ExpressionError:
        """The same error with the place marked in `text`, as expr shows it."""
        if self.at < 0 or "\n | " in str(self):
            return self
        line = text.count("\n", 0, self.at) + 1
        start = text.rfind("\n", 0, self.at) + 1
        column = self.at - start
        shown = text[start:].split("\n", 1)[0]
        return ExpressionError(f"{self} ({line}:{column + 1})\n | {shown}\n | {'.' * column}^", self.at)


class AbsentOptionalError(TemplateError):
    """A tag names an output that its skipped producer never made, and nothing gives a default."""


class UnresolvedError(TemplateError):
    """A tag that must have a value has none."""


class StepError(TemplateError):
    """The step can't be started, or its outputs can't be taken: the node ends in Error."""
