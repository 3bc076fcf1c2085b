"""Runs inside the step: its program of Python, and the debugger where that raised what it did not catch.

It is given to the step's own interpreter as a file and imports nothing of the rest: the image may lack it.
"""

import os
import pdb  # noqa: T100  # this is what it is for
import runpy
import sys
import traceback
from pathlib import Path
from types import TracebackType


def main() -> int:
    """`post_mortem.py -m MODULE [ARGUMENT...]` or `post_mortem.py FILE [ARGUMENT...]`."""
    words = sys.argv[1:]
    os.environ["TIPHYS_POST_MORTEM"] = "1"  # a step of Tiphys lets its exceptions through then
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            sys.path[0] = str(Path.cwd())
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            sys.path[0] = str(Path(words[0]).resolve().parent)
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as ended:
        cause = ended.__context__
        if not ended.code or cause is None or cause.__traceback__ is None:
            raise
        return _look(cause, cause.__traceback__, ended.code if isinstance(ended.code, int) else 1)
    except Exception as error:  # noqa: BLE001
        return _look(error, error.__traceback__, 1)
    return 0


def _look(error: BaseException, place: TracebackType | None, code: int) -> int:
    """Show what was raised and let a person look around where it was; the exit code of the program."""
    frames = place
    while frames is not None and frames.tb_next is not None and _is_ours(frames):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
    sys.stderr.write("post mortem: `w` shows where, `u` and `d` move, `p NAME` prints, `q` ends\n")
    sys.stderr.flush()
    pdb.post_mortem(frames)
    return code


def _is_ours(frames: TracebackType) -> bool:
    """Whether a frame is of this file or of the machinery that starts a program."""
    file = frames.tb_frame.f_code.co_filename
    return file == __file__ or file.startswith("<frozen")


if __name__ == "__main__":
    sys.exit(main())
