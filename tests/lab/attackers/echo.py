"""Answers what a request told the app."""


def application(environ, start_response):
    """Answer all that is text."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{name}: {value}\n".encode() for name, value in environ.items()]
