"""Everyday mistakes of beginners, as a table: what each breaks, what is told, and its mend alone.

Each was looked for where beginners ask, and names the thread or page it was found in. `python -m
tests.box.mistakes` prints docs/mistakes.md.
"""

from tests.box.mistakes.django import DJANGO
from tests.box.mistakes.flask import FLASK
from tests.box.mistakes.hosting import HOSTING
from tests.box.mistakes.python import PYTHON
from tests.box.mistakes.shape import Mistake
from tests.box.mistakes.wsgi import WSGI

MISTAKES: tuple[Mistake, ...] = (*PYTHON, *HOSTING, *WSGI, *DJANGO, *FLASK)

__all__ = ["MISTAKES", "Mistake"]
