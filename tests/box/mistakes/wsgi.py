"""Mistakes of who writes WSGI by hand."""

from __future__ import annotations

from tests.box.mistakes.projects import WSGI as BARE
from tests.box.mistakes.shape import Mistake

SCRIPT = "mysite/wsgi.py"

WSGI = (
    Mistake(
        name="named-app",
        what="The callable is named `app`, as gunicorn is told it, and not `application`.",
        source="jwasham/computer-science-flash-cards, issue 44: app module not found",
        project=BARE,
        broken={SCRIPT: ("def application(", "def app(")},
        code="no-application",
        where="",
        words=("wsgi.py", "application"),
    ),
    Mistake(
        name="not-callable",
        what="`application` is what a factory returned that forgot its `return`.",
        source="taourl.com: Failed to find Flask application or factory in module 'app'",
        project=BARE,
        broken={
            SCRIPT: "import words\n\n\ndef create_app():\n    words.WORDS\n\n\n"
            "application = create_app()\n"
        },
        code="not-callable",
        words=("application", "create_app()"),
    ),
    Mistake(
        name="text",
        what="A string is returned where WSGI wants bytes.",
        source="GrahamDumpleton/mod_wsgi, issue 116: TypeError when using Python 3",
        project=BARE,
        broken={SCRIPT: ("words.WORDS.encode()", "words.WORDS")},
        code="returns-nothing",
        words=("str", "encode"),
    ),
    Mistake(
        name="no-return",
        what="`return` is missing.",
        source="runebook.dev: Common errors related to Flask.wsgi_app",
        project=BARE,
        broken={SCRIPT: ("return [words.WORDS.encode()]", "words.WORDS.encode()")},
        code="returns-nothing",
        words=("None",),
    ),
    Mistake(
        name="no-start",
        what="`start_response` is never called.",
        source="runebook.dev: Common errors related to Flask.wsgi_app",
        project=BARE,
        broken={SCRIPT: ('    start_response("200 OK", [("Content-Type", "text/plain")])\n', "")},
        code="returns-nothing",
        words=("start_response",),
    ),
    Mistake(
        name="raises",
        what="A mistake in the function itself: it divides by zero.",
        source="livebook.manning.com: Django in Action, appendix B",
        project=BARE,
        broken={SCRIPT: ("return [words", "1 / 0  # here\n    return [words")},
        code="raises",
        where="mysite/mysite/wsgi.py",
        words=("ZeroDivisionError",),
        log=("division by zero",),
    ),
    Mistake(
        name="asynchronous",
        what="An ASGI callable in `wsgi.py`.",
        source="fastapi/fastapi, issue 936: missing 1 required positional argument: 'send'",
        project=BARE,
        broken={
            SCRIPT: "import words\n\n\n"
            "async def application(scope, receive, send):\n    words.WORDS\n"
        },
        code="raises",
        words=("TypeError",),
        log=("application",),
    ),
)
