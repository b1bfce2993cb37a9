"""What is wrong with what belongs to a script, and the commands that are right for that account."""

from __future__ import annotations

from reconciler.decide.rules import quoted, reject
from reconciler.model import Rejection, Script, Static, Virtualenv


def unreachable(link: Static, base: str, user: str) -> Rejection:
    """Return it with a command that opens what is closed on the way, and no more than that."""
    closed = " ".join(quoted(f"~/{path}".rstrip("/")) for path in link.closed)
    return reject(
        "static-unreachable",
        path=_shown(link.path, base),
        user=user,
        open=f"chmod o+x {closed} && " if closed else "",
    )


def unfit_virtualenv(venv: Virtualenv, script: Script, base: str, python: str) -> Rejection:
    """Return it with the commands that make one for the Python that the server runs.

    What is there is never emptied: it may be a project that was named by mistake, or hold one.
    """
    path = _shown(venv.path, base)
    fresh = path if venv.chosen else "/".join(filter(None, ("~", script.project, ".venv")))
    # Python does not make one in the place of another: the links to the other's Python stay.
    is_one = fresh == path and venv.python is not None
    inside = f"~/{script.path}".startswith(f"{fresh}/")
    aside = f"mv -T -- {quoted(path)} {quoted(path)}.old && " if is_one and not inside else ""
    packages = f"-r {quoted(f'~/{script.requirements}')}" if script.requirements else "django"
    other = venv.python is not None and venv.python != python
    return reject(
        "virtualenv",
        path=path,
        has=f"is of Python {venv.python} and has no packages" if other else "has no packages",
        version=python,
        aside=aside,
        fresh=quoted(fresh),
        packages=packages,
    )


def _shown(path: str, base: str) -> str:
    """Return a path as a shell of the student's may write it."""
    return "~" + path.removeprefix(base) if path.startswith(f"{base}/") else path
