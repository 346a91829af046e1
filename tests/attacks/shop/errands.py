"""A process of the site that runs what it is told, one JSON line of code at a time, and answers what it printed."""

import contextlib
import io
import json
import sys
import traceback

import django

django.setup()
answers = sys.stdout
for line in sys.stdin:
    printed = io.StringIO()
    error = ""
    try:
        with contextlib.redirect_stdout(printed):
            exec(json.loads(line), {"__name__": "errand"})
    except BaseException:
        error = traceback.format_exc()
    answers.write(json.dumps([printed.getvalue(), error]) + "\n")
    answers.flush()
