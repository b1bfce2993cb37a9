"""Stands in for mod_wsgi: loads an `app.wsgi`, and answers requests that come by a Unix socket.

Run by any Python from 3.9 on, with nothing but its standard library: `host.py APP.WSGI SOCKET`.
As mod_wsgi does, it takes no request after SIGINT, finishes those under way, and ends.
"""

import io
import json
import os
import signal
import socket
import sys
import threading
import time


class Body(io.BytesIO):
    """What a visitor sends, so many seconds late."""

    def __init__(self, late):
        super().__init__(b"one\ntwo\n")
        self._late = late

    def read(self, *size):
        time.sleep(self._late)
        return super().read(*size)


def answer(module, connection):
    with connection, connection.makefile("rwb") as stream:
        asked = json.loads(stream.readline())
        told = {}

        def start_response(status, headers, exc_info=None):
            if exc_info and told.get("sent"):
                raise exc_info[1]
            told.update(status=status, headers=headers)

        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": "/",
            "wsgi.input": Body(float(asked.pop("LATE", "0"))),
            "wsgi.errors": sys.__stderr__, "SERVER_NAME": "s", "SERVER_PORT": "80",
            "wsgi.url_scheme": "http", **asked,
        }  # fmt: skip
        chunks = []
        try:
            body = module["application"](environ, start_response)
            try:
                for chunk in body:
                    chunks.append(chunk)
                    told["sent"] = told.get("sent") or bool(chunk)
            finally:
                if hasattr(body, "close"):
                    body.close()
        except BaseException as error:
            told["raised"] = repr(error)
        told["body"] = b"".join(chunks).decode("utf-8", "replace")
        told["pid"] = os.getpid()
        stream.write(json.dumps(told).encode() + b"\n")


def main():
    wsgi, place = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(place)
    listener.listen(64)
    sys.path.insert(0, "/")
    module, lock, threads = {"__file__": wsgi, "__name__": "_mod_wsgi_1"}, threading.Lock(), []

    def serve(connection):
        with lock:
            if "application" not in module:
                with open(wsgi) as stream:
                    exec(compile(stream.read(), wsgi, "exec"), module)
        answer(module, connection)

    def stop(*_):
        listener.close()
        for thread in threads:
            thread.join(5)
        raise SystemExit(0)

    signal.signal(signal.SIGINT, stop)
    print("ready", flush=True)
    os.dup2(2, 1)
    while True:
        connection, _ = listener.accept()
        thread = threading.Thread(target=serve, args=(connection,), daemon=True)
        thread.start()
        threads.append(thread)


main()
