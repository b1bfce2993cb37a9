"""The app that each Django project has: notes with pictures, which need a login."""

from __future__ import annotations

APP = {
    "notes/__init__.py": "",
    "notes/models.py": """\
from django.db import models


class Note(models.Model):
    picture = models.FileField(upload_to="notes/")
""",
    "notes/migrations/__init__.py": "",
    "notes/migrations/0001_initial.py": """\
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Note",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("picture", models.FileField(upload_to="notes/")),
            ],
        )
    ]
""",
    "notes/admin.py": """\
from django.contrib import admin

from notes.models import Note

admin.site.register(Note)
""",
    "notes/views.py": """\
from django.contrib.auth.decorators import login_required
from django.forms import modelform_factory
from django.shortcuts import redirect, render

from notes.models import Note

NoteForm = modelform_factory(Note, fields=["picture"])


def home(request):
    return render(request, "notes/home.html", {"notes": Note.objects.all()})


@login_required
def upload(request):
    form = NoteForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        form.save()
        return redirect("/")
    return render(request, "notes/upload.html", {"form": form})
""",
    "notes/static/notes/notes.css": "h1 { color: green }\n",
    "notes/templates/notes/home.html": """\
{% load static %}
<!doctype html>
<title>Notes</title>
<link rel="stylesheet" href="{% static "notes/notes.css" %}">
<h1>Notes of the class</h1>
{% for note in notes %}<img src="{{ note.picture.url }}">{% endfor %}
<p><a href="{% url "upload" %}">Add one</a></p>
""",
    "notes/templates/notes/upload.html": """\
<!doctype html>
<title>Add a note</title>
<form method="post" enctype="multipart/form-data">{% csrf_token %}{{ form }}
<input type="submit"></form>
""",
    "notes/templates/registration/login.html": """\
<!doctype html>
<title>Log in</title>
<form method="post">{% csrf_token %}{{ form }}
<input type="hidden" name="next" value="{{ next }}"><input type="submit"></form>
""",
}

URLS = """\
from django.contrib import admin
from django.urls import include, path

from notes import views

urlpatterns = [
    path("", views.home, name="home"),
    path("upload/", views.upload, name="upload"),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
]
"""

PARTS = """\
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "notes",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
# A test's own: the default takes a fifth of a second for each password.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_REDIRECT_URL = "/"
"""
"""What is the same in all settings: as `startproject` writes it, but for the hasher."""


def manage(settings: str) -> str:
    """Return a `manage.py` that takes its settings from there."""
    return f"""\
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""


def script(settings: str) -> str:
    """Return a `wsgi.py` that takes its settings from there."""
    return f"""\
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")

application = get_wsgi_application()
"""
