"""An exception → what a person is told of it: a code, what it is about, and where.

The codes are those of `mends.json`. What is hostile here harms its own app alone; the daemon
believes of it what it can check, and takes no sentence from it.
"""

import os
import re
import traceback

from .answers import Misfit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Optional

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_PLAIN = {
    "SyntaxError": "syntax-error", "UnicodeError": "encoding", "MemoryError": "memory",
    "SystemExit": "exits",
}  # fmt: skip
"""By the name of the class or of one above it: Django's are not to be imported for that."""
_MODULE = "DJANGO_SETTINGS_MODULE"
_SETTING = re.compile(r"\b(?!WSGI|ASGI|URL)[A-Z][A-Z0-9]*_[A-Z0-9_]+\b|\b(?:DATABASES|DEBUG)\b")
_IMPORTED = re.compile(
    r"cannot import name '([^']+)' from (?:partially initialized module )?'([^']+)'"
)
_LACKING = re.compile(
    r"no such (?:table|column): (\S+)|has no column named (\S+)"
    r"|(?:relation|column) \"?([\w.]+)\"? (?:of relation \S+ )?does not exist"
    r"|[Tt]able '([^']+)' doesn't exist|[Uu]nknown column '([^']+)'"
)
_NOT_UTF_8 = re.compile(r"Non-UTF-8 code|'utf-?8' codec|invalid or missing encoding")


class Fault:
    """Why a load or an answer failed."""

    __slots__ = ("code", "kind", "message", "name", "where")

    def __init__(self, code: str, kind: str, message: str, name: str = "", where: str = "") -> None:
        self.code, self.kind, self.message = code, kind, message[:500]
        self.name, self.where = name[:200], where[:300]

    def told(self) -> "dict[str, Any]":
        """Return the part of a report that it is."""
        return {key: getattr(self, key) for key in self.__slots__}


def of(error: BaseException, home: str) -> Fault:
    """Return what an exception is."""
    cause = error.__cause__
    if isinstance(cause, ModuleNotFoundError) and not isinstance(error, ModuleNotFoundError):
        error = cause  # "Error loading psycopg2 module", "Couldn't import Django": that one says it
    message, where = _text(error), _place(error, home)
    code, name = _code(error, message)
    if code == "raises" and cause is not None:  # "Unable to configure handler": of which file?
        code, name = _code(cause, _text(cause))
    if name.startswith(home + os.sep):
        name = os.path.relpath(name, home)
    kind = error.what if isinstance(error, Misfit) else type(error).__name__
    return Fault(code, kind, message, name, where)


def hanging(frame: "Optional[FrameType]", home: str, seconds: float) -> Fault:
    """Return the fault of what has not come to its end."""
    where = ""
    while frame is not None and not where:
        where = _own(frame.f_code.co_filename, frame.f_lineno, home)
        frame = frame.f_back
    return Fault("hangs", "Timeout", f"it did not end within {seconds:.0f} s", "", where)


def trace(error: BaseException) -> str:
    """Return what Python says of it, from where the student's own code begins."""
    if isinstance(error, Misfit):
        return f"TypeError: {error}\n"
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def stack(frame: "Optional[FrameType]") -> str:
    """Return where it hangs, as Python would."""
    head = "It hangs. Traceback (most recent call last):\n"
    frames = traceback.extract_stack(frame)
    return head + "".join(traceback.format_list([f for f in frames if not _is_ours(f.filename)]))


def _is_ours(file: str) -> bool:
    return file.startswith(_OURS) or os.path.basename(file) == "app.wsgi"


def _code(error: BaseException, message: str) -> "tuple[str, str]":
    """Return the code, and what it is about."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, Misfit):
        return error.code, ""
    if "ImportError" in kinds:
        return _of_import(error, message)
    if kinds & {"ImproperlyConfigured", "UndefinedValueError"}:  # Django's, python-decouple's
        names = _SETTING.findall(message)
        first = _MODULE if _MODULE in names else "".join(names[:1])
        return "settings", first
    if "KeyError" in kinds:
        return ("settings", message.strip("'")) if _is_of_environ(error) else ("raises", "")
    if kinds & {"TemplateDoesNotExist", "TemplateNotFound"}:
        return "missing-file", message
    if kinds & {"FileNotFoundError", "PermissionError"}:
        code = "missing-file" if "FileNotFoundError" in kinds else "permission"
        name = getattr(error, "filename", None)
        return code, os.fsdecode(name) if isinstance(name, (str, bytes)) else ""
    if "SyntaxError" in kinds and _NOT_UTF_8.search(message):
        return "encoding", ""
    if kinds & {"NameError", "AttributeError"}:
        quoted = re.findall(r"'([^']*)'", message)  # the last one is the attribute
        return "name-error" if "NameError" in kinds else "attribute", "".join(quoted[-1:])
    if kinds & {"OperationalError", "ProgrammingError", "InterfaceError", "DatabaseError"}:
        return _of_database(message)
    return next((code for kind, code in _PLAIN.items() if kind in kinds), "raises"), ""


def _of_import(error: BaseException, message: str) -> "tuple[str, str]":
    name = str(getattr(error, "name", None) or "")
    if isinstance(error, ModuleNotFoundError) and "is not a package" not in message:
        return "missing-module", name
    found = _IMPORTED.search(message)
    if found:
        return "import-name", f"{found[2]}.{found[1]}"
    return ("import-name", name) if name else ("raises", "")


def _is_of_environ(error: BaseException) -> bool:
    """Whether it is `os.environ["SECRET_KEY"]`: the shell that had it is not here."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    return frames is not None and frames.tb_frame.f_code.co_filename in ("<frozen os>", os.__file__)


def _of_database(message: str) -> "tuple[str, str]":
    lacking = _LACKING.search(message)
    if lacking:
        return "migrations", next(filter(None, lacking.groups()))
    if "readonly database" in message:
        return "read-only-database", ""
    return "database", ""


def _text(error: BaseException) -> str:
    """Return an exception's text on one line."""
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:
        text = ""
    return " ".join((text or "")[:2000].split())


def _place(error: BaseException, home: str) -> str:
    """Return the deepest place in the student's own code, as "shop/views.py:12"."""
    if isinstance(error, SyntaxError) and error.filename:
        found = _own(error.filename, error.lineno or 0, home)
        if found:
            return found
    where, frames = "", error.__traceback__
    while frames is not None:
        where = _own(frames.tb_frame.f_code.co_filename, frames.tb_lineno, home) or where
        frames = frames.tb_next
    return where


def _own(file: str, line: int, home: str) -> str:
    if not file.startswith(home + os.sep) or any(part in file for part in _PACKAGES):
        return ""
    return f"{os.path.relpath(file, home)}:{line}"
