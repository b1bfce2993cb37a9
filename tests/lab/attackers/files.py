"""Reads a file, and looks for what can be written outside the app's own home."""

import os

from own_memory import answering


def act(read="", write=""):
    """Return the text of the file `read` or None; and what below `write` (by `:`) is writable."""
    text = None
    if read:
        try:
            with open(read) as stream:
                text = stream.read()
        except OSError:
            pass
    writable = []
    for top in filter(None, write.split(":")):
        for directory, _, names in os.walk(top):
            paths = [directory, *(os.path.join(directory, name) for name in names)]
            writable += [p for p in paths if os.access(p, os.W_OK) and not os.path.islink(p)]
    return {"text": text, "writable": writable}


application = answering(act)
