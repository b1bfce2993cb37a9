"""The runner: what runs in an app's own process, as its student.

It is published to `<state>/runner/<digest>/slp_runner`, root's and the same for every account, and
knows nothing of the rest: the standard library alone, from Python 3.9 on, and whatever `app.json`
says. Nothing here protects anything from the app that it runs: code of the student's can write
over all of it, and harms itself alone.

Here is its beginning, the load. It ends as the student's own wsgi.py would have: `__file__` is
theirs, and an error in it names their file and line. The working directory is their project, and
the environment that of a shell of theirs. `application` is theirs with ours around it, or the page
that says why it is not there. It is no file of its own: each that is imported costs an app's first
answer 0.1 ms and more.
"""

import _thread
import os
import site
import sys
import time

from .answers import Application, Failure, Misfit, what
from .process import Process

TYPE_CHECKING = (
    False  # as `typing` has it, whose import alone would be a third of what all may cost
)
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any, Optional


def start(
    app: "dict[str, Any]", namespace: "dict[str, Any]", process: "Optional[Process]" = None
) -> None:
    """Execute the script of `app` (what `app.json` says) in `namespace`, which mod_wsgi reads."""
    process = process or Process(app)
    process.start()
    answer: Callable[..., Any]
    try:
        _as_in_a_shell(app)
        code = _compiled(app["script"])
        os.chdir(app["project"])  # as under `runserver`; where the script was read, it is there
        namespace["__file__"] = app["script"]
        exec(code, namespace)  # noqa: S102  as its student
        application = namespace.get("application")
        if not callable(application):
            raise Misfit("not-callable", "application cannot be called", what(application))
    except BaseException as error:
        answer = Failure(process, process.failed(error))
    else:
        _listen(process)
        _settle(process.run["url"])
        answer = Application(process, application)
        process.loaded()
    namespace["application"] = answer


def _as_in_a_shell(app: "dict[str, Any]") -> None:
    """Set path and environment as they are with the virtualenv activated."""
    if "/" in sys.path:  # the daemon's `home=`, which mod_wsgi puts there: /tmp is no package
        sys.path.remove("/")
    # mod_wsgi itself sets HOME alone, to the account's.
    os.environ["USER"] = os.environ["LOGNAME"] = app["account"]
    if not app["system_site_packages"]:
        hidden = site.getsitepackages()
        sys.path[:] = [entry for entry in sys.path if entry not in hidden]
    if app["site_packages"]:
        before = list(sys.path)
        site.addsitedir(app["site_packages"])
        # Its packages win over the distribution's, and those that its .pth files add do too.
        added = [entry for entry in sys.path if entry not in before]
        sys.path[:] = added + [entry for entry in sys.path if entry not in added]
        sys.prefix = sys.exec_prefix = app["virtualenv"]
        programs = os.path.join(app["virtualenv"], "bin")
        sys.executable = os.path.join(programs, "python")
        os.environ["VIRTUAL_ENV"] = app["virtualenv"]
        os.environ["PATH"] = programs + os.pathsep + os.environ.get("PATH", os.defpath)
    if app["project"] in sys.path:
        sys.path.remove(app["project"])
    sys.path.insert(0, app["project"])


def _compiled(script: str) -> "CodeType":
    # It was whole when it was judged: if it is not, an editor, a checkout or an upload is at work
    # on it just now, and half of it would be a 500 for whoever waits.
    for pause in (0.05, 0.1, 0.2, 0.4):
        try:
            with open(script, "rb") as stream:
                source = stream.read()
            code = compile(source, script, "exec")
        except (OSError, SyntaxError, ValueError):
            pass
        else:
            if b"application" in source:
                return code
        time.sleep(pause)
    with open(script, "rb") as stream:
        return compile(stream.read(), script, "exec")


def _listen(process: Process) -> None:
    """Hear of exceptions that a framework answers itself: Django, without DEBUG, tells nobody."""

    def heard(*_: "Any", **said: "Any") -> None:
        error = said.get("exception") or sys.exc_info()[1]
        if error is not None:
            process.pending[_thread.get_ident()] = error

    for module in ("django.core.signals", "flask"):
        signal = getattr(sys.modules.get(module), "got_request_exception", None)
        if signal is not None:
            try:
                signal.connect(heard, weak=False)
            except Exception:
                pass


def _settle(url: str) -> None:
    """Have Django put `STATIC_URL = "static/"` below the app's path, whoever comes first.

    It does so once in a process, by the SCRIPT_NAME of the first who asks. *Measured*: where that
    was a visitor of the app's host, whose name is empty, each page at the path lacked its styles.
    Below its path an app's files are found at its host too.
    """
    urls: Any = sys.modules.get("django.urls")
    settings: Any = getattr(sys.modules.get("django.conf"), "settings", None)
    if urls is None or settings is None:
        return
    try:
        urls.set_script_prefix(url + "/")
        for name in ("STATIC_URL", "MEDIA_URL"):
            getattr(settings, name, None)
        urls.clear_script_prefix()
    except Exception:
        pass
