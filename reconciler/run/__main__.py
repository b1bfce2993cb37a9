"""Begins an app's process under `isolated`, where systemd starts it for its first visitor.

    python <runner>/slp_runner <state>/apps/<account> THREADS REQUEST_TIMEOUT

As the student, in their sandbox, with the listening socket as descriptor 3. The virtualenv's own
Python takes over where there is one. Where that does not start, its packages are used by this one,
as mod_wsgi does it.
"""

import os
import sys

_SOCKET = 3  # SD_LISTEN_FDS_START
_TAKEN_OVER = "SLP_TAKEN_OVER"


def main(link: str, threads: str, request_timeout: str) -> None:
    """Serve the app whose set `link` points to, until it ends."""
    # Once, to the set itself: a set that is switched meanwhile is the next process's affair.
    chosen = os.path.realpath(link)
    with open(os.path.join(chosen, "app.json"), "rb") as stream:
        text = stream.read()
    # Root's own file; to import `json` would be a tenth of what the start of a process takes.
    app = eval(text, {"__builtins__": {}, "null": None, "true": True, "false": False})  # noqa: S307
    if os.getuid() != app["uid"]:
        sys.exit(f"{app['account']} has uid {os.getuid()}, and the app is {app['uid']}'s")
    if app["virtualenv"] and os.environ.pop(_TAKEN_OVER, None) is None:
        python = os.path.join(app["virtualenv"], "bin", "python")
        try:
            os.execve(python, [python, *sys.argv], {**os.environ, _TAKEN_OVER: "1"})  # noqa: S606
        except OSError as error:
            print(f"{python}: {error.strerror}; {sys.executable} runs the app", file=sys.stderr)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "INVOCATION_ID", "JOURNAL_STREAM"):
        os.environ.pop(name, None)  # of no use to an app, or to what it starts
    app["set"], app["link"] = os.path.basename(chosen), link
    # Ours first, and only for as long as they are imported: an app has packages of its own.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from slp_runner import serve  # type: ignore[import-not-found]

    del sys.path[0]
    serve.serve(app, _SOCKET, int(threads), float(request_timeout))


if __name__ == "__main__":
    main(*sys.argv[1:])
