"""What is wrong with what belongs to a script, and the commands that are right for that account."""

from __future__ import annotations

from reconciler.decide.ailments import Facts, ailment
from reconciler.decide.rules import quoted, reject
from reconciler.model import Instead, Kind, Rejection, Script, Static, Virtualenv
from reconciler.settings import Settings


def unreachable(link: Static, base: str, user: str) -> Rejection:
    """Return it with a command that opens what is closed on the way, and no more than that."""
    closed = " ".join(quoted("/".join(filter(None, ("~", path)))) for path in link.closed)
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


_CODES = {
    Kind.DEEP: "too-deep",
    Kind.DJANGO: "no-script:django",
    Kind.WSGI: "no-script:flask",
    Kind.FACTORY: "no-script:factory",
    Kind.ASGI: "no-script:asgi",
}


def without_script(
    instead: Instead, account: str, base: str, python: str, settings: Settings
) -> Rejection:
    """Return what a home without a script is told: the line, or the file, that serves it."""
    facts = Facts(
        account=account,
        home=base,
        project=f"{base}/{instead.path}".rpartition("/")[0],
        python=python,
        virtualenv=instead.virtualenv,
        script=f"{base}/{instead.script}",
        package=instead.module,
        name=instead.name,
        where=instead.path,
    )
    return ailment(_CODES[instead.kind] if instead.script else "no-script:home", facts, settings)


def _shown(path: str, base: str) -> str:
    """Return a path as a shell of the student's may write it."""
    return "~" + path.removeprefix(base) if path.startswith(f"{base}/") else path
