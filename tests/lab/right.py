"""Whether all that can be seen is as it should be: URLs, the status, leftovers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.lab.apache import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.lab.apache import Server
    from tests.lab.program import Program


@dataclass(frozen=True)
class Wanted:
    """What an account's URL and its part of the status are to say."""

    state: str
    """As in `status.json`; "gone" where there is no such account."""
    code: str = ""
    text: str = ""
    """What the app's answer begins with, where it is served."""

    def is_answered(self, status: int, text: str) -> bool:
        """Whether this answer of the account's URL is right."""
        if self.state == "served":
            return status == 200 and text.startswith(self.text)
        page = {"gone": "Not Found", "empty": "has no app yet"}.get(self.state)
        return status == 404 and (page or f"<code>{self.code}</code>") in text

    def is_told(self, part: dict[str, Any] | None) -> bool:
        """Whether this part of the status is right."""
        if part is None or self.state == "gone":
            return part is None and self.state == "gone"
        code = (part["reason"] or {"code": ""})["code"]
        return (part["state"], code) == (self.state, self.code)


def wrong(server: Server, program: Program, accounts: Mapping[str, Wanted]) -> Iterator[str]:
    """Yield whatever is not so, in one look."""
    status = program.status()
    for name, wanted in accounts.items():
        answer, part = server.get(f"/django/{name}/"), status["accounts"].get(name)
        if not wanted.is_answered(answer.status, answer.text):
            yield f"{name}: {wanted}, and its URL says {answer.status} {answer.text[-300:]!r}"
        if not wanted.is_told(part):
            yield f"{name}: {wanted}, and the status says {part}"
    current = os.readlink(STATE / "current").rpartition("/")[2]
    if (status["held"], str(status["generation"])) != (None, current):
        yield f"held: {status['held']}, generation {status['generation']} of {current}"
    yield from (f"left over: {path}" for path in STATE.rglob("*.new"))
    test = server.configtest()
    if test.returncode:
        yield f"configtest: {test.stderr}"
