"""What the Python programs share: where the database is, and a list of named checks that each end in time.

A program prints TAP: "ok - name", or "not ok - name: reason" with the place behind it. Every check makes its own connections.
"""
import asyncio
import concurrent.futures
import inspect
import os
import sys
import threading
import traceback

HOST, PORT = os.environ["PGHOST"], int(os.environ["PGPORT"])
USER, PASSWORD, DATABASE = os.environ["PGUSER"], os.environ["PGPASSWORD"], os.environ["PGDATABASE"]
CLIENTS = int(os.environ["DRIVERS_CLIENTS"])  # more than the pool has servers
ROUNDS = int(os.environ["DRIVERS_ROUNDS"])
LIMIT_S = float(os.environ["DRIVERS_LIMIT_S"])  # of one check


def _call(check):
    if inspect.iscoroutinefunction(check):
        asyncio.run(asyncio.wait_for(check(), LIMIT_S))
    else:
        check()


def _problem(check):
    """Runs one check; None, or what went wrong. One that hangs is left behind in its thread."""
    caught = []

    def body():
        try:
            _call(check)
        except BaseException as problem:
            caught.append(problem)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(LIMIT_S + 1)
    if thread.is_alive():
        return TimeoutError("not done after %.0f s" % LIMIT_S)
    return caught[0] if caught else None


def run(*checks):
    for check in checks:
        name, problem = check.__name__.replace("_", " "), _problem(check)
        if problem is None:
            print("ok - " + name)
        else:
            reason = "%s: %s" % (type(problem).__name__, " ".join(str(problem).split()))
            print("not ok - %s: %s" % (name, reason[:300]))
            for line in "".join(traceback.format_exception(problem)[-6:]).splitlines():
                print("# " + line)
        sys.stdout.flush()
    sys.stdout.flush()
    os._exit(0)  # a thread that hangs must not keep us


def all_clients(work):
    """work(number) in a thread for each client; the first exception is raised."""
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, range(CLIENTS)))


async def all_tasks(work):
    return await asyncio.gather(*(work(number) for number in range(CLIENTS)))


def equal(got, want, what=""):
    if got != want:
        raise AssertionError("%s%r, not %r" % (what and what + ": ", got, want))


def raises(kind, action, sqlstate=None):
    """Whatever action() does, it must fail with this."""
    try:
        action()
    except kind as problem:
        if sqlstate is not None:
            equal(getattr(problem, "sqlstate", None) or getattr(problem, "pgcode", None), sqlstate, "SQLSTATE")
        return problem
    raise AssertionError("no %s" % kind.__name__)
