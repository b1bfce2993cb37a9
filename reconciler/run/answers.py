"""Answer: the app is called, and what goes wrong is told, logged, and answered by a page."""

import _thread
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .faults import Fault
    from .process import Process


_NO_STATUS = ("returns-nothing", "start_response was not called", "no status")


class Misfit(TypeError):  # noqa: N818  that is what it is to people
    """The app is not what WSGI asks for: `code` is the failure's, `what` is there instead."""

    def __init__(self, code: str, text: str, what: str) -> None:
        super().__init__(f"{text}: {what}")
        self.code, self.what = code, what


def what(value: "Any") -> str:
    """Return what a value is, for people."""
    return "None" if value is None else type(value).__name__


class Application:
    """What mod_wsgi calls in place of the student's `application`."""

    def __init__(self, process: "Process", application: "Callable[..., Any]") -> None:
        self._process, self._application = process, application

    def __call__(self, environ: "dict[str, Any]", start_response: "Callable[..., Any]") -> "Any":
        """Answer one request."""
        process = self._process
        process.answers()
        environ["wsgi.errors"] = process.errors  # where Flask writes
        environ["wsgi.input"] = _Input(process, environ["wsgi.input"])
        answer = _Answer(process, environ, start_response)
        try:
            return answer.of(self._application(environ, answer.start))
        except BaseException as error:
            return answer.instead(error)


class _Input:
    """A request's body: whoever waits for a slow visitor to send it does not hang."""

    __slots__ = ("_body", "_process")

    def __init__(self, process: "Process", body: "Any") -> None:
        self._process, self._body = process, body

    def read(self, *size: int) -> "Any":
        return self._waited(self._body.read, *size)

    def readline(self, *size: int) -> "Any":
        return self._waited(self._body.readline, *size)

    def readlines(self, *hint: int) -> "Any":
        return self._waited(self._body.readlines, *hint)

    def __iter__(self) -> "Iterator[bytes]":
        return iter(self.readline, b"")

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._body, name)

    def _waited(self, how: "Callable[..., Any]", *size: int) -> "Any":
        is_timed = self._process.active.pop(_thread.get_ident(), None) is not None
        try:
            return how(*size)
        finally:
            if is_timed:
                self._process.answers()


class Failure:
    """What mod_wsgi calls where the load has failed: the page that says why."""

    def __init__(self, process: "Process", fault: "Fault") -> None:
        self._process, self._fault = process, fault

    def __call__(
        self, environ: "dict[str, Any]", start_response: "Callable[..., Any]"
    ) -> "list[bytes]":
        """Answer with the page."""
        headers, body = _page(self._process, self._fault, environ)
        start_response("500 Internal Server Error", headers)
        return [body]


def _page(
    process: "Process", fault: "Fault", environ: "dict[str, Any]"
) -> "tuple[list[tuple[str, str]], bytes]":
    from . import page

    return page.of(fault, process.app, process.home, environ.get("HTTP_ACCEPT", ""))


class _Answer:
    """One request: its `start_response`, and the body where that is not a list."""

    __slots__ = ("_begun", "_body", "_chunks", "_environ", "_process", "_start", "_status")

    def __init__(
        self, process: "Process", environ: "dict[str, Any]", start_response: "Callable[..., Any]"
    ) -> None:
        self._process, self._environ, self._start = process, environ, start_response
        self._status = ""
        self._body: Any = None
        self._chunks: Iterator[bytes] = iter(())
        self._begun = False

    def start(self, status: str, headers: "Any", exc_info: "Any" = None) -> "Any":
        """Be the app's `start_response`."""
        self._status = status
        return self._start(status, headers, exc_info) if exc_info else self._start(status, headers)

    def of(self, body: "Any") -> "Any":
        """Return what mod_wsgi is to send: the body itself, where all of it can be looked at."""
        if isinstance(body, (list, tuple)):
            for chunk in body:
                self._check(chunk)
            self._end()
            return body
        if type(body).__name__ == "FileWrapper":  # mod_wsgi's own sends it by itself
            self._end()
            return body
        self._body = body
        if isinstance(body, str) or not hasattr(body, "__iter__"):
            raise Misfit("returns-nothing", "the app returned no body of bytes", what(body))
        self._chunks = iter(body)
        return self

    def __iter__(self) -> "_Answer":
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
            self._check(chunk)
        except StopIteration:
            if self._status:
                raise
            return self._sent(Misfit(*_NO_STATUS))
        except BaseException as error:
            self._chunks = iter(())
            if self._begun:  # half of it is sent: mod_wsgi cuts it off
                self._process.raised(error)
                raise
            return self._sent(error)
        if chunk and not self._begun:
            self._begun = True
            self._process.active.pop(_thread.get_ident(), None)
        return chunk

    def close(self) -> None:
        """End it: mod_wsgi always says so."""
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._end()

    def instead(self, error: BaseException) -> "list[bytes]":
        """Return the page for what was raised before there was a body."""
        try:
            return [self._sent(error)]
        finally:
            self.close()

    def _check(self, chunk: "Any") -> None:
        if not isinstance(chunk, bytes):
            raise Misfit("returns-nothing", "a body is made of bytes, and not of", what(chunk))
        if not self._status:
            raise Misfit(*_NO_STATUS)

    def _sent(self, error: BaseException) -> bytes:
        """Begin the answer anew, with the page; mod_wsgi raises where it is too late for that."""
        self._status = "500"
        headers, body = _page(self._process, self._process.raised(error), self._environ)
        self._start("500 Internal Server Error", headers, sys.exc_info())
        return body

    def _end(self) -> None:
        process, thread = self._process, _thread.get_ident()
        process.active.pop(thread, None)
        error = process.pending.pop(thread, None)
        if error is not None:
            process.raised(error, told=thread in process.log.traced)
        elif self._status[:1] in ("1", "2", "3", "4"):
            process.went_well()
        if process.log.traced:
            process.log.traced.discard(thread)
        process.ended_request()
