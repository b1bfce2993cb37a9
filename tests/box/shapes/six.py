"""The six shapes."""

from __future__ import annotations

from tests.box.shapes.notes import APP, PARTS, URLS, manage, script
from tests.box.shapes.shape import Shape

INSIDE = (
    ('STATIC_URL = "/static/"', 'STATIC_URL = "static/"'),
    ('MEDIA_URL = "/media/"', 'MEDIA_URL = "media/"'),
)


def below(place: str, *parts: dict[str, str]) -> dict[str, str]:
    """Return files with their paths below `place`."""
    return {f"{place}/{path}".lstrip("/"): text for part in parts for path, text in part.items()}


LIBRARY = Shape(
    name="library",
    like="mdn/django-locallibrary-tutorial: cloned as it is; settings from the environment with "
    "defaults, hashed static files, a login that leads to `/`",
    files=below(
        "django-library-tutorial",
        APP,
        {
            "README.md": "# A library\n",
            "requirements.txt": "django\n",
            "manage.py": manage("library.settings"),
            "library/__init__.py": "",
            "library/urls.py": URLS,
            "library/wsgi.py": script("library.settings"),
            "library/settings.py": PARTS
            + """\
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "of a test")
DEBUG = os.environ.get("DJANGO_DEBUG", "") == "True"
ALLOWED_HOSTS = []
ROOT_URLCONF = "library.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
STATIC_ROOT = BASE_DIR / "staticfiles"
STATIC_URL = "/static/"
STATICFILES_STORAGE = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
MEDIA_ROOT = BASE_DIR / "media"
MEDIA_URL = "/media/"
""",
        },
    ),
    manage="django-library-tutorial",
    venv="django-library-tutorial/.venv",
    settings="django-library-tutorial/library/settings.py",
    written=INSIDE,
)

SHOP = Shape(
    name="shop",
    like="justdjango/django-ecommerce: a package of settings, paths by os.path, a `.env`, "
    "static_root and media_root, the virtualenv `env`",
    files=below(
        "shop-master",
        APP,
        {
            ".env": "SECRET_KEY=of a test\n",
            "manage.py": manage("djshop.settings.development"),
            "static_in_env/css/shop.css": "body { margin: 0 }\n",
            "djshop/__init__.py": "",
            "djshop/urls.py": URLS,
            "djshop/wsgi.py": script("djshop.settings.production"),
            "djshop/settings/__init__.py": "",
            "djshop/settings/development.py": "from .base import *\n\nDEBUG = True\n",
            "djshop/settings/production.py": "from .base import *\n\nDEBUG = False\n"
            "ALLOWED_HOSTS = []\n",
            "djshop/settings/base.py": PARTS
            + """\
import os

BASE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
with open(os.path.join(BASE_DIR, ".env")) as lines:
    CONFIG = dict(line.strip().split("=", 1) for line in lines)
SECRET_KEY = CONFIG["SECRET_KEY"]
ROOT_URLCONF = "djshop.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(BASE_DIR, "db.sqlite3"),
    }
}
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
STATICFILES_DIRS = [os.path.join(BASE_DIR, "static_in_env")]
STATIC_ROOT = os.path.join(BASE_DIR, "static_root")
MEDIA_ROOT = os.path.join(BASE_DIR, "media_root")
""",
        },
    ),
    manage="shop-master",
    venv="shop-master/env",
    settings="shop-master/djshop/settings/production.py",
    written=(("DEBUG = False\n", 'DEBUG = False\nSTATIC_URL = "static/"\nMEDIA_URL = "media/"\n'),),
)

GIRLS = Shape(
    name="girls",
    like="DjangoGirls/tutorial: `startproject mysite .` in the home, `myvenv` beside it",
    files=below(
        "",
        APP,
        {
            "manage.py": manage("mysite.settings"),
            "mysite/__init__.py": "",
            "mysite/urls.py": URLS,
            "mysite/wsgi.py": script("mysite.settings"),
            "mysite/settings.py": PARTS
            + """\
import os

BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SECRET_KEY = "of a test"
DEBUG = False
ALLOWED_HOSTS = []
ROOT_URLCONF = "mysite.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(BASE_DIR, "db.sqlite3"),
    }
}
STATIC_URL = "/static/"
STATIC_ROOT = os.path.join(BASE_DIR, "static")
MEDIA_URL = "/media/"
MEDIA_ROOT = os.path.join(BASE_DIR, "media")
""",
        },
    ),
    manage=".",
    venv="myvenv",
    settings="mysite/settings.py",
    written=INSIDE,
)

SOURCES = Shape(
    name="sources",
    like="codingforentrepreneurs/try-django-19: `virtualenv .`, the project in its `src/`, static "
    "files collected beside that",
    files=below(
        "try-django/src",
        APP,
        {
            "manage.py": manage("trydjango.settings"),
            "trydjango/__init__.py": "",
            "trydjango/urls.py": URLS,
            "trydjango/wsgi.py": script("trydjango.settings"),
            "trydjango/settings.py": PARTS
            + """\
import os

BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SECRET_KEY = "of a test"
DEBUG = False
ALLOWED_HOSTS = []
ROOT_URLCONF = "trydjango.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(BASE_DIR, "db.sqlite3"),
    }
}
STATIC_URL = "/static/"
STATIC_ROOT = os.path.join(os.path.dirname(BASE_DIR), "static_cdn", "static_root")
MEDIA_URL = "/media/"
MEDIA_ROOT = os.path.join(os.path.dirname(BASE_DIR), "static_cdn", "media_root")
""",
        },
    ),
    manage="try-django/src",
    venv="try-django",
    settings="try-django/src/trydjango/settings.py",
    written=INSIDE,
)

COOKIE = Shape(
    name="cookie",
    like="cookiecutter/cookiecutter-django: `config/` with base, local and production, apps in a "
    "package that the script puts on the path, settings from `.env`, media below the apps",
    files=below(
        "my_awesome_project",
        {f"my_awesome_project/{path}": text for path, text in APP.items()},
        {
            ".env": "DJANGO_SECRET_KEY=of a test\n",
            "manage.py": manage("config.settings.local").replace(
                "    execute", '    sys.path.append("my_awesome_project")\n    execute'
            ),
            "config/__init__.py": "",
            "config/urls.py": URLS,
            "config/wsgi.py": "import sys\nfrom pathlib import Path\n\n"
            "BASE_DIR = Path(__file__).resolve(strict=True).parent.parent\n"
            'sys.path.append(str(BASE_DIR / "my_awesome_project"))\n'
            + script("config.settings.production"),
            "config/settings/__init__.py": "",
            "config/settings/local.py": "from .base import *\n\nDEBUG = True\n",
            "config/settings/production.py": "from .base import *\nfrom .base import env\n\n"
            'DEBUG = env("DJANGO_DEBUG", "") == "True"\nALLOWED_HOSTS = []\n',
            "config/settings/base.py": PARTS
            + """\
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve(strict=True).parent.parent.parent
APPS_DIR = BASE_DIR / "my_awesome_project"
for line in (BASE_DIR / ".env").read_text().splitlines():
    os.environ.setdefault(*line.split("=", 1))
env = os.environ.get
SECRET_KEY = env("DJANGO_SECRET_KEY")
ROOT_URLCONF = "config.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
STATIC_ROOT = str(BASE_DIR / "staticfiles")
STATIC_URL = "/static/"
MEDIA_ROOT = str(APPS_DIR / "media")
MEDIA_URL = "/media/"
""",
        },
    ),
    manage="my_awesome_project",
    venv=".venvs/my_awesome_project",
    settings="my_awesome_project/config/settings/production.py",
    written=(("ALLOWED_HOSTS", 'STATIC_URL = "static/"\nMEDIA_URL = "media/"\nALLOWED_HOSTS'),),
)

FLASK = Shape(
    name="flask",
    like="techwithtim/Flask-Web-App-Tutorial: `main.py` beside a package with a factory, Flask's "
    "own static files and templates, uploads in the package",
    files=below(
        "Flask-Web-App",
        {
            "main.py": "from website import create_app\n\napp = create_app()\n\n"
            'if __name__ == "__main__":\n    app.run(debug=True)\n',
            "wsgi.py": "from main import app as application\n",
            "website/__init__.py": """\
import os

from flask import Flask


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "of a test"
    app.config["UPLOADS"] = os.path.join(app.static_folder, "uploads")
    os.makedirs(app.config["UPLOADS"], exist_ok=True)
    from .views import views

    app.register_blueprint(views, url_prefix="/")
    return app
""",
            "website/views.py": """\
import os

from flask import Blueprint, current_app, redirect, render_template, request, session, url_for

views = Blueprint("views", __name__)


@views.route("/")
def home():
    return render_template("home.html", files=os.listdir(current_app.config["UPLOADS"]))


@views.route("/upload/", methods=["GET", "POST"])
def upload():
    if "user" not in session:
        return redirect(url_for("views.login"))
    if request.method == "POST":
        file = request.files["picture"]
        file.save(os.path.join(current_app.config["UPLOADS"], file.filename))
        return redirect("/")
    return render_template("upload.html")


@views.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        session["user"] = request.form["username"]
        return redirect("/upload/")
    return render_template("login.html")
""",
            "website/static/site.css": "h1 { color: green }\n",
            "website/templates/home.html": """\
<!doctype html>
<link rel="stylesheet" href="{{ url_for('static', filename='site.css') }}">
<h1>Notes of the class</h1>
{% for file in files %}<img src="{{ url_for('static', filename='uploads/' + file) }}">{% endfor %}
<a href="{{ url_for('views.upload') }}">Add one</a>
""",
            "website/templates/upload.html": '<form method="post" enctype="multipart/form-data">'
            '<input type="file" name="picture"></form>\n',
            "website/templates/login.html": '<form method="post"><input name="username">'
            '<input name="password" type="password"></form>\n',
        },
    ),
    venv="Flask-Web-App/venv",
    packages="flask",
    admins=(),
)

SHAPES = (LIBRARY, SHOP, GIRLS, SOURCES, COOKIE, FLASK)
