"""Mistakes of a shared server: modes, owners, places, virtualenvs."""

from __future__ import annotations

from tests.box.mistakes.projects import DJANGO, FLASK
from tests.box.mistakes.projects import WSGI as BARE
from tests.box.mistakes.shape import Mistake

HOSTING = (
    Mistake(
        name="seven-seven-seven",
        what="`chmod -R 777`, because a forum said so.",
        source="UnamSanctam/UnamWebPanel, issue 254: I even tried doing chmod 777",
        project=BARE,
        spoil="chmod -R 777 mysite",
        typed=True,
        code="writable-by-others",
        words=("every account", "chmod"),
    ),
    Mistake(
        name="sudo",
        what="A file was written with `sudo`, and is root's.",
        source="overhangio/tutor-discovery, issue 107: directory created as root",
        project=BARE,
        spoil_as_root="chown root mysite/mysite/wsgi.py",
        mend_as_root="chown sudo mysite/mysite/wsgi.py",
        code="wrong-owner",
        words=("uid 0", "wsgi.py"),
    ),
    Mistake(
        name="shut",
        what="A file that the app reads was made unreadable.",
        source="allianceauth/allianceauth, issue 723: 'log_file': [Errno 13] Permission denied",
        project=BARE,
        broken={
            "secret.txt": "It works.",
            "words.py": "WORDS = open('secret.txt').read()  # here\n",
        },
        spoil="chmod 000 mysite/secret.txt",
        mend="chmod 600 mysite/secret.txt",
        code="permission",
        where="mysite/words.py",
        words=("secret.txt",),
    ),
    Mistake(
        name="too-deep",
        what="The repository's project lies deeper than where scripts are looked for.",
        source="technetexperts.com: Django, Gunicorn and the path of a module",
        project=BARE,
        spoil="mkdir -p work/term; mv mysite work/term/",
        typed=True,
        code="too-deep",
        words=("work/term/mysite/mysite/wsgi.py",),
        at="status",
    ),
    Mistake(
        name="no-script",
        what="A Flask project without `wsgi.py`: `flask run` needs none.",
        source="scidsg/hushline, issue 267: Delete wsgi.py",
        project=FLASK,
        broken={
            "wsgi.py": None,
            "app.py": "from shop import create_app\n\napp = create_app()\n",
        },
        typed=True,
        code="no-script",
        words=("app app", "wsgi.py"),
    ),
    Mistake(
        name="asgi-only",
        what="A project with `asgi.py` alone.",
        source="iragm/fishauctions, issue 306: django_asgi_app = get_asgi_application()",
        project=DJANGO,
        broken={
            "mysite/wsgi.py": None,
            "mysite/asgi.py": "import os\n\nfrom django.core.asgi import get_asgi_application\n\n"
            'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n\n'
            "application = get_asgi_application()\n",
        },
        typed=True,
        code="no-script",
        words=("get_wsgi_application", "wsgi.py"),
    ),
    Mistake(
        name="windows-venv",
        what="The virtualenv of a Windows machine was uploaded with the project.",
        source="GrahamDumpleton/mod_wsgi, issue 856: Setting up with a virtual environment",
        project=BARE,
        broken={
            ".venv/pyvenv.cfg": "home = C:\\Python311\nversion = 3.11.4\n",
            ".venv/Scripts/python.exe": "MZ",
            ".venv/Lib/site-packages/greet.py": "",
            "words.py": "import greet  # here\n\nWORDS = 'It works.'\n",
        },
        mend="rm -r mysite/.venv; mv .good/mysite/words.py mysite/words.py",
        code="virtualenv",
        words=("-m venv",),
    ),
    Mistake(
        name="other-python",
        what="The virtualenv was made with another Python than the server's.",
        source="GrahamDumpleton/mod_wsgi, issue 678: No module named 'django'",
        project=BARE,
        broken={
            ".venv/pyvenv.cfg": "home = /usr/local/bin\nversion = 3.7.4\n",
            ".venv/bin/activate": "",
            ".venv/lib/python3.7/site-packages/greet.py": "",
            "words.py": "import greet  # here\n\nWORDS = 'It works.'\n",
        },
        mend="rm -r mysite/.venv; mv .good/mysite/words.py mysite/words.py",
        code="virtualenv",
        words=("3.7", "-m venv"),
    ),
)
