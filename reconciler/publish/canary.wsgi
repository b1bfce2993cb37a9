"""Answers, if anything of a configuration's apps can: run as nobody, with every daemon's options.

Root's file, the same always. Verification asks for it at `<prefix>/.slp/app/<digest>`.
"""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "no-store")])
    return [b"slp-reconciler canary\n"]
