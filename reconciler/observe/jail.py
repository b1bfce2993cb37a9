"""What runs in the child: privileges go first, then a stranger's text or path is looked at.

`helper.py` sends this file's text, and that of `roots.py` before it, through a pipe to `python -I
-S -B`, so that nothing of ours need be readable to `nobody`. Both must therefore run, alone and
unchanged, on every Python that mod_wsgi may embed: 3.8 to 3.14. The program itself uses no more of
this one than `printable` and some constants.

Frames, both ways: four bytes of length, big-endian, then so many bytes. The first answer is
`["ready"]` or `["failed", why]`; every other one is JSON of at most `ANSWER_LIMIT` bytes.
"""

from __future__ import annotations

import ast
import dis
import encodings
import encodings.aliases
import encodings.ascii
import encodings.cp1252
import encodings.latin_1
import encodings.utf_8
import json
import math
import os
import pwd
import re
import resource
import signal
import symtable
import sys
import time
import types
import unicodedata  # compile() wants it at the first "\N{...}" or non-ASCII name: too late then
import warnings
from collections.abc import Callable, Iterator

try:
    import ctypes
except ImportError:  # a Python without libffi: what needs prctl or unshare is best effort
    ctypes = None  # type: ignore[assignment]

if "roots" not in globals():  # a child has its text from the pipe, before this one
    from reconciler.observe.roots import roots

NOBODY = 65534
REQUEST_LIMIT = 72 * 1024  # a script of 64 KiB and some air
MEMORY = 256 * 1024 * 1024  # bytes of address space; measured, 3.8 to 3.13: 68 MiB for 64 KiB
HANG = 60  # seconds for one request, far more than whoever asks waits
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
CLONE_NEWIPC, CLONE_NEWNET = 0x08000000, 0x40000000


# --- frames ---------------------------------------------------------------------------------


def receive() -> bytes | None:
    """One request from descriptor 0; None once the other side has closed it."""
    header = _read(4)
    size = int.from_bytes(header, "big") if len(header) == 4 else REQUEST_LIMIT + 1
    body = _read(size) if size <= REQUEST_LIMIT else b""
    return body if len(body) == size else None


def send(answer: object) -> None:
    """Writes one answer to descriptor 1."""
    body = json.dumps(answer).encode("ascii")
    frame = len(body).to_bytes(4, "big") + body
    while frame:
        frame = frame[os.write(1, frame) :]


def _read(size: int) -> bytes:
    parts = []
    while size > 0:
        part = os.read(0, size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


# --- privileges -----------------------------------------------------------------------------


def lockdown() -> None:
    """Gives up, for good, all that parsing does not need. What it uses is imported before.

    Guaranteed, or `OSError` names the step: user and groups `nobody` and a root directory with
    nothing in it (both only where we are root, since nobody else could); no new descriptor of any
    kind, hence no file, socket or pipe; no new process; no byte into a file; no core; `MEMORY`.
    Best effort, since containers and old kernels refuse them: a network of its own, no_new_privs,
    not dumpable. CPU is bounded at each request by `renew`.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a blocked SIGXCPU would undo the CPU limit
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    if os.geteuid() == 0:
        _prctl_or_unshare("unshare", CLONE_NEWNET | CLONE_NEWIPC)
        # Needs no writable place and leaves nothing behind: our own, soon unreadable, fdinfo, as
        # in Chromium's sandbox. It goes away with us.
        _step("chroot", os.chroot, "/proc/self/fdinfo")
        _step("chdir", os.chdir, "/")
        _step("setgroups", os.setgroups, [])
        _step("setresgid", os.setresgid, NOBODY, NOBODY, NOBODY)
        _step("setresuid", os.setresuid, NOBODY, NOBODY, NOBODY)
    confine(descriptors=0)


def confine(descriptors: int) -> None:
    """The limits of either helper; descriptors are numbered below `descriptors` (0: no new one)."""
    _prctl_or_unshare("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _prctl_or_unshare("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, descriptors),
    ):
        _step("setrlimit", resource.setrlimit, what, (most, most))


def become(user: str) -> None:
    """Becomes `user` with that user's groups; as somebody else than root, checks that we are."""
    try:
        row = pwd.getpwnam(user)
    except KeyError:
        raise OSError("there is no such user") from None
    if os.geteuid() == 0:
        _step("initgroups", os.initgroups, user, row.pw_gid)
        _step("setresgid", os.setresgid, row.pw_gid, row.pw_gid, row.pw_gid)
        _step("setresuid", os.setresuid, row.pw_uid, row.pw_uid, row.pw_uid)
    elif os.geteuid() != row.pw_uid:
        raise OSError("only root can ask as another user")


def renew(seconds: int) -> None:
    """Grants `seconds` more of CPU: the soft limit alone, since a lowered hard one never rises."""
    soft = math.ceil(time.process_time()) + seconds
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _prctl_or_unshare(function: str, *arguments: int) -> None:
    if ctypes is not None:
        getattr(ctypes.CDLL(None), function)(*(ctypes.c_ulong(each) for each in arguments))


def _step(name: str, call: Callable[..., object], *arguments: object) -> None:
    try:
        call(*arguments)
    except (OSError, ValueError) as error:
        raise OSError(f"{name}: {error}") from None


# --- a script's text ------------------------------------------------------------------------

FILE = "wsgi.py"
NAME = "application"
STORE_NAME, STORE_GLOBAL = dis.opmap["STORE_NAME"], dis.opmap["STORE_GLOBAL"]
BOM = b"\xef\xbb\xbf"
CODECS = {"utf_8": "UTF-8", "ascii": "ASCII", "latin_1": "Latin-1", "cp1252": "cp1252"}
COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")  # PEP 263
BLANK = re.compile(rb"[ \t\f]*(?:#|$)")
# Any use of these may bind a name that no compiler sees; the benefit of the doubt is the student's.
# eval too: `eval("(application := 1)")` binds.
DOUBTFUL_NAMES = ("exec", "eval", "globals", "locals", "vars")
DOUBTFUL_ATTRIBUTES = ("__dict__", "modules")  # setattr(sys.modules[__name__], ...) and its kin
STAR = re.compile(r"import(?:[ \t\f]|\\\r?\n|\\\r)*\*")
TOO_DEEP = "it is too deeply nested for Python to parse"
TOO_MUCH = "it is too deeply nested or too large for Python to parse"


class NotText(Exception):  # noqa: N818 a fact about the text, not an error of ours
    """Bytes that may not, or cannot, be decoded."""


def examine(data: bytes) -> tuple[str | None, int | None, str | None, bool]:
    """What a script's bytes are: (encoding, line, message, binds). Raises MemoryError only."""
    try:
        text = decode(data)
    except NotText as fault:
        return str(fault), None, None, False
    try:
        # The bytes, as import would have them: so Python itself reads the declaration once more.
        code = compile(data, FILE, "exec", dont_inherit=True)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 whatever compile() may raise is about the text
        return (None, *complaint(error, data), False)
    try:
        return None, None, None, binds(text, code)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 it compiles, and we failed to see more: benefit of the doubt
        return None, None, None, True


def decode(data: bytes) -> str:
    """The text of `data` in one of `CODECS`; raises `NotText` with the line."""
    lines = _one_newline(data[len(BOM) :] if data.startswith(BOM) else data)
    codec, reason = "utf_8", ""
    for number, line in enumerate(lines.split(b"\n", 2)[:2], 1):
        declared = COOKIE.match(line)
        if declared:
            name = declared[1].decode("ascii")
            codec, reason = canonical(name), f", which line {number} declares"
            if codec not in CODECS:
                raise NotText(
                    f"line {number} declares the encoding {name[:40]}, "
                    "which is none of UTF-8, ASCII, Latin-1 and cp1252"
                )
            if codec != "utf_8" and data.startswith(BOM):
                raise NotText(f"line {number} declares {CODECS[codec]}, but the mark is of UTF-8")
            break
        if not BLANK.match(line):
            break  # Python looks at line 2 only if line 1 holds nothing
    try:
        return lines.decode(codec)
    except UnicodeDecodeError as error:
        number = lines.count(b"\n", 0, error.start) + 1
        byte = lines[error.start]
        raise NotText(f"line {number} has byte 0x{byte:02x}, not {CODECS[codec]}{reason}") from None


def canonical(name: str) -> str:
    """The name of the module of `encodings` for a declared one; like Python's `get_normal_name`."""
    head = name[:12].lower().replace("_", "-") + "-"  # `utf-8-unix` is what Emacs writes
    if head.startswith("utf-8-"):
        return "utf_8"
    if head.startswith(("latin-1-", "iso-8859-1-", "iso-latin-1-")):
        return "latin_1"
    plain = encodings.normalize_encoding(name).lower()
    known = encodings.aliases.aliases
    return known.get(plain) or known.get(plain.replace(".", "_")) or plain


def complaint(error: Exception, data: bytes) -> tuple[int, str]:
    """The line and the sentence for what compile() raised."""
    if b"\0" in data:  # ValueError without a line, or SyntaxError, depending on the version
        line = _one_newline(data[: data.index(b"\0")]).count(b"\n") + 1
        return line, "source code cannot contain null bytes"
    if isinstance(error, SyntaxError):
        line = error.lineno if isinstance(error.lineno, int) and error.lineno > 0 else 1
        return line, printable(str(error.msg))
    if isinstance(error, RecursionError):
        return 1, TOO_DEEP
    return 1, printable(f"Python cannot compile it: {error or type(error).__name__}")


def printable(text: str) -> str:
    """`text` as one line of at most 200 printable characters."""
    return "".join(each if each.isprintable() else "?" for each in text[:200])


def binds(text: str, code: types.CodeType) -> bool:
    """Whether running the module may bind `application` in it.

    The bytecode's stores tell. symtable, which tells uses of a name from attributes and strings,
    cannot: it files `del x`, a bare `x: T` and, since 3.12, the variable of a comprehension at
    module level under the module's assignments, and a walrus in one nowhere.
    """
    if _stores(code):  # the usual case, and the cheapest to tell
        return True
    for scope in _scopes(symtable.symtable(text, FILE, "exec")):
        known = scope.get_identifiers()
        if any(each in known and scope.lookup(each).is_referenced() for each in DOUBTFUL_NAMES):
            return True
    return _star(text) or _reaches_itself(text, code)


def _scopes(top: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    left = [top]
    while left:  # not recursive: scopes nest as deep as a student likes
        scope = left.pop()
        yield scope
        left.extend(scope.get_children())


def _codes(top: types.CodeType) -> Iterator[types.CodeType]:
    left = [top]
    while left:
        code = left.pop()
        yield code
        left.extend(each for each in code.co_consts if isinstance(each, types.CodeType))


def _stores(top: types.CodeType) -> bool:
    """A class body stores by STORE_NAME too: only the module's own counts."""
    return any(
        operation == STORE_GLOBAL or (code is top and operation == STORE_NAME)
        for code in _codes(top)
        if NAME in code.co_names
        for operation in _done_to(code.co_names.index(NAME), code.co_code)
    )


def _done_to(number: int, steps: bytes) -> Iterator[int]:
    """The operations whose argument is `number`: a tenth of the time of `dis.get_instructions`."""
    high = 0
    for operation, low in zip(steps[::2], steps[1::2]):  # noqa: B905 Python 3.8 has no strict=
        argument = high | low
        high = argument << 8 if operation == dis.EXTENDED_ARG else 0
        if argument == number:
            yield operation


def _star(text: str) -> bool:
    """`from x import *`, which no table of symbols shows. The costly look only where it may be."""
    return bool(STAR.search(text)) and any(
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        for node in ast.walk(ast.parse(text))
    )


def _reaches_itself(text: str, code: types.CodeType) -> bool:
    wanted = [each for each in DOUBTFUL_ATTRIBUTES if each in text]
    return bool(wanted) and any(each in part.co_names for part in _codes(code) for each in wanted)


def _one_newline(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


# --- the two helpers ------------------------------------------------------------------------

# Each line makes Python, or us, import something that could no longer be imported in the jail.
WARM_UP = (
    b"from os import *\n",
    b"application: int\ndel application\nimport sys\nsys.modules\n",
    b"# coding: cp1252\n'\x80'\n",
    b"# coding: latin-1\n'\xe9'\n",
    b"# coding: us-ascii\n'\\N{EN DASH}' '\\d'\n",
    "\u00e9 = f'{1!r:>{2}}'\n".encode(),
    b"return\n",
    b"(\n",
    b"\0",
)


SETTINGS = b"\0"  # begins a request about settings: no script that is sound begins with it


def files_of(request: bytes) -> list[tuple[str, bytes]]:
    """Paths and texts in turn, each after a NUL; neither has one in it."""
    parts = request.split(b"\0")[1:]
    return [(path.decode("ascii"), text) for path, text in zip(parts[::2], parts[1::2])]  # noqa: B905


def parser(seconds: str) -> Callable[[bytes], object]:
    """A helper in the jail that answers with `examine` or `roots`, in `seconds` of CPU each."""
    warnings.simplefilter("ignore")
    for text in WARM_UP:
        examine(text)
    roots([("settings.py", b"from os.path import *\nSTATIC_URL = f'/{__file__}'\n")])
    unicodedata.normalize("NFKC", "\u00e9")
    lockdown()
    # "Ready" is proof that it can parse in there: else every student would be blamed in turn.
    if examine(b"application = '\\N{BULLET}'\n") != (None, None, None, True):
        raise OSError("it cannot parse a script that is sound")
    fresh = True

    def answer(request: bytes) -> object:
        nonlocal fresh
        renew(int(seconds))
        is_script = not request.startswith(SETTINGS)
        try:
            facts: object = examine(request) if is_script else roots(files_of(request))
        except MemoryError:
            if not fresh:
                # It may be the neighbours' text that filled the memory (3.12 never frees a
                # name): only a new helper's word counts. To die asks for one.
                os._exit(3)
            send((None, 1, TOO_MUCH, False) if is_script else roots([]))
            os._exit(0)
        fresh = False
        return facts

    return answer


def reader(user: str) -> Callable[[bytes], object]:
    """A helper that, as `user`, answers 0 or the number of the error that an open met."""
    become(user)
    confine(descriptors=8)

    def answer(request: bytes) -> object:
        directory, path = request[:1] == b"d", request[1:]
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            # O_NONBLOCK: a FIFO in place of the file would hold us for ever.
            fd = os.open(path, flags | (os.O_DIRECTORY if directory else 0))
            try:
                if directory:
                    os.stat(".", dir_fd=fd)  # to list takes r, to serve what is in it takes x
            finally:
                os.close(fd)
        except OSError as error:
            return error.errno or -1
        return 0

    return answer


def main(role: str, argument: str) -> None:
    """Starts one helper and serves until its descriptor 0 is closed."""
    try:
        answer = {"parser": parser, "reader": reader}[role](argument)
    except Exception as error:  # noqa: BLE001 the other side must hear why, whatever it is
        send(["failed", printable(str(error) or type(error).__name__)])
        os._exit(1)
    send(["ready"])
    while True:
        request = receive()
        if request is None:
            os._exit(0)  # not sys.exit: nothing is left to tidy, and no file may be opened
        # An open on a dead mount may hang for ever, and a unit without CAP_KILL cannot end us.
        signal.alarm(HANG)
        send(answer(request))
        signal.alarm(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
