"""Where a project's settings say that its static and uploaded files are, without running them.

Like `jail.py`, before which this text is sent, it runs alone and unchanged on every Python from 3.8
on, in the parser's helper. It evaluates what people write: literals, and the usual expressions of
`BASE_DIR`. All else is unknown, and harms nobody: what comes out is a string, which whoever asks
takes for a path below the home or for nothing.

The home is called `/~`, so that a project's text says the same wherever its home is.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence

NAMES = ("STATIC_ROOT", "STATIC_URL", "MEDIA_ROOT", "MEDIA_URL")
HOME = "/~"
LONGEST = 200  # characters of what is told
_MOST = 1000  # characters of any value: `x = x + x` doubles at each line
_DEPTH = 40  # expressions in one another; people write four


class Unknown(Exception):  # noqa: N818 what an expression is, not an error of ours
    """It is none of the expressions that are understood."""


def roots(files: Sequence[tuple[str, bytes]]) -> list[str | None]:
    """What the first file says of `NAMES`; the others are there for what it imports.

    Paths are relative to the home. None: it does not say; "": it says it in another way.
    """
    said = Module(dict(files), files[0][0]).values() if files else {}
    return [_told(said[name]) if name in said else None for name in NAMES]


def _told(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        return ""
    return value if value.isascii() and value.isprintable() else ""


class Module:
    """One file's assignments, in their order; a name whose value is not understood is None."""

    def __init__(self, files: dict[str, bytes], path: str) -> None:
        self._files = files
        self._path = path
        self._names: dict[str, object] = {"__file__": f"{HOME}/{path}"}

    def values(self) -> dict[str, object]:
        """What the module's names are at its end."""
        # Each file is read once: two that import each other would never end.
        text = self._files.pop(self._path)
        try:
            self._run(ast.parse(text).body)
        except (SyntaxError, ValueError, RecursionError):  # what runs the app will tell of it
            return {}
        return self._names

    def _run(self, body: Iterable[ast.stmt]) -> None:
        for step in _steps(body, self._decided):
            if isinstance(step, ast.ImportFrom):
                self._import(step)
            elif isinstance(step, ast.Assign):
                self._bind(step.targets, step.value)
            elif isinstance(step, ast.AnnAssign) and step.value is not None:
                self._bind([step.target], step.value)

    def _bind(self, targets: Iterable[ast.expr], value: ast.expr) -> None:
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if names:
            self._names.update(dict.fromkeys(names, self._known(value)))

    def _known(self, expression: ast.expr) -> object:
        try:
            return Expression(self._names).value(expression)
        except Unknown:
            return None

    def _decided(self, test: ast.expr) -> bool | None:
        found = self._known(test)
        return None if found is None else bool(found)

    def _import(self, step: ast.ImportFrom) -> None:
        path = None if step.module is None else self._found(step.module, step.level)
        if path is None:
            return
        theirs = Module(self._files, path).values()
        theirs.pop("__file__", None)
        for each in step.names:
            if each.name == "*":
                self._names.update(theirs)
            elif each.name in theirs:
                self._names[each.asname or each.name] = theirs[each.name]

    def _found(self, module: str, level: int) -> str | None:
        """The file of a module, among those that were given."""
        way = module.replace(".", "/")
        ends = [f"{way}.py", f"{way}/__init__.py"]
        if level == 0:
            return next(
                (p for end in ends for p in self._files if f"/{p}".endswith(f"/{end}")), None
            )
        here = self._path
        for _ in range(min(level, _DEPTH)):
            here = posixpath.dirname(here)
        places = [posixpath.join(here, end) for end in ends]
        return next((place for place in places if place in self._files), None)


def _steps(
    body: Iterable[ast.stmt], decided: Callable[[ast.expr], bool | None]
) -> Iterator[ast.stmt]:
    """The statements as they are met: one branch of an `if` that is decided, a `try`'s body."""
    left = list(reversed(list(body)))
    while left:  # not recursive: statements nest as deep as a student likes
        step = left.pop()
        if isinstance(step, ast.If):
            taken = decided(step.test)
            inside = [] if taken is False else step.body
            left += reversed(inside if taken else inside + step.orelse)
        elif isinstance(step, ast.Try):
            left += reversed(step.body + step.orelse + step.finalbody)
        elif isinstance(step, ast.With):
            left += reversed(step.body)
        else:
            yield step


_SAME = {
    "str", "abspath", "realpath", "normpath", "fspath", "Path", "PurePath", "PosixPath", "resolve",
    "absolute", "as_posix", "path", "expanduser",
}  # fmt: skip
"""Functions and methods that name the same place; with more arguments, a place below it."""
_JOIN = {"join", "joinpath"}
_ASKED = {"get", "getenv", "env", "config", "getvar", "get_value"}
"""What asks for a variable of the environment, which an app has not: its default is the value."""


class Expression:
    """Evaluates one expression, given the names before it."""

    def __init__(self, names: dict[str, object]) -> None:
        self._names = names

    def value(self, node: ast.AST, depth: int = 0) -> object:
        """A string, a boolean or None. Raises Unknown."""
        if depth > _DEPTH:
            raise Unknown
        method = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if method is None:
            raise Unknown
        found = method(node, depth + 1)
        if isinstance(found, str) and len(found) > _MOST:
            raise Unknown
        return found

    def text(self, node: ast.AST, depth: int) -> str:
        """A string. Raises Unknown."""
        found = self.value(node, depth)
        if not isinstance(found, str):
            raise Unknown
        return found

    def _of_constant(self, node: ast.Constant, _depth: int) -> object:
        if node.value is None or isinstance(node.value, (str, bool)):
            return node.value
        raise Unknown

    def _of_name(self, node: ast.Name, _depth: int) -> object:
        found = self._names.get(node.id)
        if found is None:
            raise Unknown
        return found

    def _of_joinedstr(self, node: ast.JoinedStr, depth: int) -> str:
        return "".join(_bounded([self.text(each, depth) for each in node.values]))

    def _of_formattedvalue(self, node: ast.FormattedValue, depth: int) -> str:
        if node.format_spec is not None:
            raise Unknown
        return self.text(node.value, depth)

    def _of_binop(self, node: ast.BinOp, depth: int) -> str:
        left, right = self.text(node.left, depth), self.text(node.right, depth)
        if isinstance(node.op, ast.Div):
            return _joined([left, right])
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Mod) and left.count("%") == left.count("%s") == 1:
            return left.replace("%s", right)
        raise Unknown

    def _of_unaryop(self, node: ast.UnaryOp, depth: int) -> bool:
        found = self.value(node.operand, depth)
        if isinstance(node.op, ast.Not):
            return not found
        raise Unknown

    def _of_boolop(self, node: ast.BoolOp, depth: int) -> object:
        """The first that is there, as in `os.environ.get("ROOT") or BASE_DIR / "static"`."""
        if not isinstance(node.op, ast.Or):
            raise Unknown
        for each in node.values:
            try:
                found = self.value(each, depth)
            except Unknown:
                continue
            if found:
                return found
        raise Unknown

    def _of_ifexp(self, node: ast.IfExp, depth: int) -> object:
        test = self.value(node.test, depth)
        return self.value(node.body if test else node.orelse, depth)

    def _of_attribute(self, node: ast.Attribute, depth: int) -> str:
        if node.attr == "parent":
            return _parent(self.text(node.value, depth))
        raise Unknown

    def _of_subscript(self, node: ast.Subscript, depth: int) -> str:
        """As in `….parents[1]`."""
        number: object = node.slice
        for _ in range(2):  # Python 3.8 has an `Index` around the number's own node
            number = getattr(number, "value", number)
        if type(number) is not int:
            raise Unknown
        if isinstance(node.value, ast.Attribute) and node.value.attr == "parents":
            found = self.text(node.value.value, depth)
            for _ in range(number + 1):
                found = _parent(found)
            return found
        raise Unknown

    def _of_call(self, node: ast.Call, depth: int) -> object:
        called, owner = node.func, None
        if isinstance(called, ast.Attribute):
            name, owner = called.attr, called.value
        elif isinstance(called, ast.Name):
            name = called.id
        else:
            raise Unknown
        if name in _ASKED or (isinstance(owner, ast.Name) and owner.id in _ASKED):
            return self._default(node, depth)
        if name == "home" and not node.args:
            return HOME
        # Of a method, what it is called on comes first; `os.path` and `pathlib` are no values.
        first = [] if owner is None else self._owner(owner, depth)
        given = first + [self.text(each, depth) for each in node.args]
        if not given or isinstance(owner, ast.Constant):
            raise Unknown
        if name == "dirname":
            return _parent(given[0])
        if name in _JOIN or name in _SAME:
            return posixpath.normpath(_joined([_expanded(given[0], name), *given[1:]]))
        raise Unknown

    def _owner(self, owner: ast.expr, depth: int) -> list[str]:
        while isinstance(owner, ast.Attribute) and owner.attr == "path":
            owner = owner.value
        if isinstance(owner, ast.Name) and not isinstance(self._names.get(owner.id), str):
            return []
        return [self.text(owner, depth)]

    def _default(self, node: ast.Call, depth: int) -> object:
        for keyword in node.keywords:
            if keyword.arg == "default":
                return self.value(keyword.value, depth)
        if len(node.args) == 2:
            return self.value(node.args[1], depth)
        raise Unknown


def _joined(parts: Sequence[str]) -> str:
    return posixpath.join(*_bounded(parts))


def _bounded(parts: Sequence[str]) -> Sequence[str]:
    if sum(map(len, parts)) > _MOST:
        raise Unknown
    return parts


def _expanded(path: str, name: str) -> str:
    if name == "expanduser" and (path == "~" or path.startswith("~/")):
        return HOME + path[1:]
    return path


def _parent(path: str) -> str:
    found = posixpath.dirname(posixpath.normpath(path))
    if not found or found == "/":
        raise Unknown
    return found
