"""Starts a student's app: root's file, the same for every account, run as the student.

mod_wsgi loads it by a stable name whose directory is replaced when the app changes; which script
it runs is in app.json beside it. It ends as the student's own wsgi.py would have: `application`
is theirs, `__file__` is theirs, and an error in it names their file and line.
"""


def _load(here):
    import json
    import os
    import site
    import sys

    # Once, to the set itself: a set that is switched meanwhile is the next process's affair.
    with open(os.path.join(os.path.realpath(os.path.dirname(here)), "app.json")) as stream:
        app = json.load(stream)
    if app["site_packages"]:
        before = list(sys.path)
        site.addsitedir(app["site_packages"])
        # Its packages win over the distribution's, and those that its .pth files add do too.
        added = [entry for entry in sys.path if entry not in before]
        sys.path[:] = added + [entry for entry in sys.path if entry not in added]
        sys.prefix = sys.exec_prefix = app["virtualenv"]
        os.environ["VIRTUAL_ENV"] = app["virtualenv"]
    if app["project"] in sys.path:
        sys.path.remove(app["project"])
    sys.path.insert(0, app["project"])
    with open(app["script"], "rb") as stream:
        source = stream.read()
    return app["script"], compile(source, app["script"], "exec")


__file__, _code = _load(__file__)
exec(_code)
