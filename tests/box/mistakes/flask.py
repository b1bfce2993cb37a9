"""Mistakes of Flask."""

from __future__ import annotations

from tests.box.mistakes.projects import FLASK as GOOD
from tests.box.mistakes.shape import Mistake

FLASK = (
    Mistake(
        name="flask-run",
        what='`app.run()` stands outside of `if __name__ == "__main__"`.',
        source="bast/cicero, issue 10: app.run() is outside if __name__ == '__main__' block",
        project=GOOD,
        broken={"wsgi.py": ("create_app()", "create_app()\napplication.run()  # here")},
        code="hangs",
        where="mysite/wsgi.py",
        at="status",
    ),
    Mistake(
        name="flask-factory",
        what="The factory itself is bound to `application`, and never called.",
        source="taourl.com: Failed to find Flask application or factory in module 'app'",
        project=GOOD,
        broken={"wsgi.py": ("create_app()", "create_app")},
        code="raises",
        words=("TypeError",),
        log=("create_app",),
    ),
    Mistake(
        name="flask-template",
        what="The folder of templates is named `template`.",
        source="techwithtim/Flask-Web-App-Tutorial, issue 37: TemplateNotFound error pls help",
        project=GOOD,
        broken={
            "shop/views.py": ('words="It works.")', 'words="It works.")  # here'),
        },
        spoil="mv mysite/shop/templates mysite/shop/template",
        mend="mv mysite/shop/template mysite/shop/templates",
        code="missing-file",
        where="mysite/shop/views.py",
        words=("home.html",),
        at="status",
        log=("TemplateNotFound",),
    ),
    Mistake(
        name="flask-none",
        what="A view returns nothing.",
        source="pallets/flask, issue 3908: The view function did not return a valid response",
        project=GOOD,
        broken={
            "shop/views.py": ('return render_template("home.html", words="It works.")', "pass")
        },
        code="raises",
        words=("TypeError",),
        at="status",
        log=("did not return a valid response",),
    ),
    Mistake(
        name="flask-twice",
        what="Two views have one name.",
        source="pallets/flask, issue 3144: View function mapping is overwriting an endpoint",
        project=GOOD,
        broken={
            "shop/views.py": (
                '@pages.route("/about")\ndef about():',
                '@pages.route("/about")  # here\ndef home():',
            ),
        },
        code="raises",
        words=("AssertionError",),
        log=("home",),
    ),
    Mistake(
        name="flask-secret",
        what="The session is used, and no secret key set.",
        source="cmc-csci040, issue 218: Error: No Secret Key Set",
        project=GOOD,
        broken={
            "shop/__init__.py": ('    app.secret_key = "of a test"\n', ""),
            "shop/views.py": ('["seen"] = True', '["seen"] = True  # here'),
        },
        code="raises",
        where="mysite/shop/views.py",
        words=("RuntimeError",),
        log=("secret key",),
        at="status",
    ),
    Mistake(
        name="flask-context",
        what="Something of the app's is used while no request is answered.",
        source="techwithtim/Flask-Web-App-Tutorial, issue 105: outside of application context",
        project=GOOD,
        broken={
            "shop/views.py": (
                'pages = Blueprint("pages", __name__)',
                'pages = Blueprint("pages", __name__)\nsession["started"] = True  # here',
            )
        },
        code="raises",
        where="mysite/shop/views.py",
        words=("RuntimeError",),
        log=("context",),
    ),
)
