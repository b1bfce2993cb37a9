"""Projects as the generators make them that people use, with the student's first app in them."""

from __future__ import annotations

from tests.box.shapes.notes import APP, URLS
from tests.box.shapes.shape import DJANGO_ADMIN, Shape
from tests.box.shapes.six import FLASK, below
from tests.lab.homes import APP as BARE

ADDED = """\
import os

STATIC_ROOT = os.path.join(BASE_DIR, 'static')
MEDIA_ROOT = os.path.join(BASE_DIR, 'media')
LOGIN_REDIRECT_URL = '/'
"""
"""What Django's own manual says to add, for static files and for uploads."""


def startproject(
    django: str, command: str = "startproject mysite", package: str = "mysite"
) -> Shape:
    """Return what `startproject` of a Django makes, with the notes in it.

    From 4.0 on it writes a STATIC_URL that Django puts below the app's own path; 3.1 and 3.2 know
    one, and write another; before, there is none that is right at a host and at a path.
    """
    name = f"django{django.replace('.', '')}{'' if package == 'mysite' else 'here'}"
    before = "STATIC_URL = 'static/'" if django >= "4.0" else "STATIC_URL = '/static/'"
    media = before.replace("STATIC", "MEDIA").replace("static", "media")
    inside = ".draft/mysite" if command.endswith(".") else ".draft"
    known = "" if django >= "3.1" else f"/django/{name}/"
    return Shape(
        name=name,
        like=f"`django-admin {command}` of Django {django}",
        venv="mysite/.venv",
        packages=f"django-{django}",
        make=f"mkdir -p {inside}; cd {inside}; django-admin {command}",
        files=below("mysite", APP, {f"{package}/urls.py": URLS}),
        manage="mysite",
        settings=f"mysite/{package}/settings.py",
        added=(
            (
                "    'django.contrib.staticfiles',\n",
                "    'django.contrib.staticfiles',\n    'notes',\n",
            ),
            (before, f"{before}\n{media}\n{ADDED}"),
        ),
        written=()
        if django >= "4.0"
        else (
            ("STATIC_URL = '/static/'", f"STATIC_URL = '{known}static/'"),
            ("MEDIA_URL = '/media/'", f"MEDIA_URL = '{known}media/'"),
        ),
        both=not known,
    )


WAGTAIL = Shape(
    name="wagtail",
    like="`wagtail start mysite`: settings in a package, the site's pages at its root",
    venv="mysite/venv",
    packages="wagtail",
    make="mkdir .draft; cd .draft; wagtail start mysite >/dev/null\n"
    "cat >>mysite/mysite/urls.py <<'END'\n"
    "from notes import views\n\n"
    "urlpatterns = [\n"
    '    path("notes/", views.home, name="home"),\n'
    '    path("notes/upload/", views.upload, name="upload"),\n'
    '    path("accounts/", include("django.contrib.auth.urls")),\n'
    "] + urlpatterns\n"
    "END",
    files=below(
        "mysite",
        APP,
        {
            "notes/views.py": APP["notes/views.py"].replace('redirect("/")', 'redirect("home")'),
            "mysite/settings/local.py": "from .base import INSTALLED_APPS\n\n"
            'INSTALLED_APPS += ["notes"]\nALLOWED_HOSTS = []\n',
        },
    ),
    manage="mysite",
    settings="mysite/mysite/settings/local.py",
    written=(("ALLOWED_HOSTS", 'STATIC_URL = "static/"\nMEDIA_URL = "media/"\nALLOWED_HOSTS'),),
    pages=(("", "Welcome to your new Wagtail site"),),
    front="notes/",
    admins=(("admin/", "Sign in", "Dashboard"), ("django-" + DJANGO_ADMIN[0], *DJANGO_ADMIN[1:])),
)

SCRIPT = Shape(
    name="script",
    like="a bare WSGI script, and nothing else",
    venv="site/venv",
    packages="flask",
    files={"site/wsgi.py": BARE.format(body="A bare script")},
    pages=(("", "A bare script"),),
    title="",
    admins=(),
)

GENERATED = (
    *map(startproject, ("2.2", "3.0", "3.1", "3.2", "4.0", "4.1", "4.2", "5.0", "5.1", "5.2")),
    startproject("5.2", "startproject config .", "config"),
    WAGTAIL,
    FLASK,
    SCRIPT,
)
