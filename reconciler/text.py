r"""Text of others, made fit for a line of ours: JSON, HTML, a log and a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return it with control, undecodable and odd characters as \x…, \u….

    Right-to-left marks and the like are not `isprintable`, so that no name can rewrite the line
    that it stands in; and neither JSON nor HTML has lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def clipped(text: str, most: int) -> str:
    """Return it printable, of at most so many characters; what is cut ends with an ellipsis."""
    shown = printable(text[: most + 1])  # cut first: an escape is up to ten times as long
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
