"""The good projects that mistakes are made in; each answers "It works." at its URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Project:
    """A project in `~/mysite`, and the command that makes its database, if it needs one."""

    framework: str
    files: Mapping[str, str]
    prepare: str = ""


WSGI = Project(
    "WSGI",
    {
        "mysite/wsgi.py": """\
import words

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [words.WORDS.encode()]
""",
        "words.py": 'WORDS = "It works."\n',
    },
)

FLASK = Project(
    "Flask",
    {
        "wsgi.py": """\
from shop import create_app

application = create_app()
""",
        "shop/__init__.py": """\
from flask import Flask


def create_app():
    app = Flask(__name__)
    app.secret_key = "of a test"
    from shop import views

    app.register_blueprint(views.pages)
    return app
""",
        "shop/views.py": """\
from flask import Blueprint, render_template, session

pages = Blueprint("pages", __name__)


@pages.route("/")
def home():
    session["seen"] = True
    return render_template("home.html", words="It works.")


@pages.route("/about")
def about():
    return "About us"
""",
        "shop/templates/home.html": "<p>{{ words }}</p>\n",
    },
)

MANAGE = """\
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""
SCRIPT = """\
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

application = get_wsgi_application()
"""
SETTINGS = """\
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "of a test"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "blog",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "mysite.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(BASE_DIR, "db.sqlite3"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
"""
URLS = """\
from django.urls import path

from blog import views

urlpatterns = [
    path("", views.home, name="home"),
    path("about/", views.about, name="about"),
]
"""
VIEWS = """\
from django.http import HttpResponse
from django.shortcuts import render

from blog.models import Post


def home(request):
    return render(request, "home.html", {"posts": Post.objects.count()})


def about(request):
    return HttpResponse("About us")
"""
MODELS = """\
from django.db import models


class Post(models.Model):
    title = models.CharField(max_length=80)
"""
MIGRATION = """\
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Post",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("title", models.CharField(max_length=80)),
            ],
        )
    ]
"""
HOME = """\
{% load static %}
<link rel="stylesheet" href="{% static "blog/blog.css" %}">
<p>It works. {{ posts }} posts. <a href="{% url "about" %}">About</a></p>
"""

DJANGO = Project(
    "Django",
    {
        "manage.py": MANAGE,
        "mysite/__init__.py": "",
        "mysite/settings.py": SETTINGS,
        "mysite/urls.py": URLS,
        "mysite/wsgi.py": SCRIPT,
        "blog/__init__.py": "",
        "blog/models.py": MODELS,
        "blog/views.py": VIEWS,
        "blog/migrations/__init__.py": "",
        "blog/migrations/0001_initial.py": MIGRATION,
        "blog/static/blog/blog.css": "p { color: green }\n",
        "templates/home.html": HOME,
        "staticfiles/blog/blog.css": "p { color: green }\n",
    },
    "cd mysite && python3 manage.py migrate -v 0",
)
