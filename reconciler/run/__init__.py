"""The runner: what runs in an app's own process, as its student.

It is published to `<state>/runner/<digest>/slp_runner`, root's and the same for every account, and
knows nothing of the rest: the standard library alone, from Python 3.9 on, and whatever `app.json`
says. Nothing here protects anything from the app that it runs: code of the student's can write
over all of it, and harms itself alone.
"""
