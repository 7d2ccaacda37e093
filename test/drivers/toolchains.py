"""The drivers: which program is whose, what it needs, and how that is installed with the ordinary package clients.

Everything lands in build-test/drivers. Versions are fixed by the files beside the programs.
"""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(ROOT, "build-test", "drivers")
PREPARE_LIMIT_S = 600


def call(command, folder, **more):
    """Runs it; the reason if it fails."""
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=PREPARE_LIMIT_S, **more)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    if done.returncode == 0:
        return None
    return "%s failed: %s" % (" ".join(command[:3]), " ".join(done.stdout.split())[-600:])


def version_of(command):
    """The first number of the form 1.2 that the program prints, as a tuple."""
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+)\.(\d+)", text)
    return found and (int(found[1]), int(found[2]))


class Driver:
    """One program that uses one driver."""

    tool, tool_version, least = None, (), (0, 0)  # its toolchain; how it tells its version; what is needed

    def __init__(self, name, program):
        self.name, self.program = name, program

    def lack(self):
        """Why it cannot run on this machine, or None."""
        if not shutil.which(self.tool):
            return "no %s here" % self.tool
        found = version_of([self.tool, *self.tool_version])
        if not found or found < self.least:
            return "%s %s is too old, %d.%d is needed" % (self.tool, ".".join(map(str, found or ("?",))), *self.least)
        return None

    def prepare_problem(self):
        """Installs and compiles, once for all drivers of a kind. What went wrong, or None."""
        kind = type(self)
        if "prepared" not in kind.__dict__:
            kind.prepared = kind.prepare()
        return kind.prepared

    @classmethod
    def prepare(cls):
        return None

    def environment(self):
        return {}

    def folder(self):
        return HERE

    def command(self):
        raise NotImplementedError


def is_fresh(mark, *sources):
    """Whether `mark` was left by mark_fresh() for the same sources."""
    try:
        with open(mark) as file:
            return file.read() == digest(sources)
    except FileNotFoundError:
        return False


def mark_fresh(mark, *sources):
    with open(mark, "w") as file:
        file.write(digest(sources))


def digest(sources):
    total = hashlib.sha256()
    for source in sorted(sources):
        with open(source, "rb") as file:
            total.update(file.read())
    return total.hexdigest()


class DistributionPython(Driver):
    """The distribution's Python with the distribution's drivers."""

    python = "/usr/bin/python3"

    def __init__(self, name, program, *modules):
        super().__init__(name, program)
        self.modules = modules

    def lack(self):
        for module in self.modules:
            if subprocess.run([self.python, "-c", "import " + module], capture_output=True).returncode != 0:
                return "no Python module %s here" % module
        return None

    def command(self):
        return [self.python, "-B", os.path.join(HERE, "python", self.program)]


class C(Driver):
    """libpq, by a program in C."""

    tool, tool_version, least = "cc", ("-dumpfullversion",), (9, 0)
    source = os.path.join(HERE, "c", "pipeline.c")
    program_path = os.path.join(CACHE, "c", "pipeline")

    def lack(self):
        missing = super().lack()
        if not missing and subprocess.run(["pkg-config", "--exists", "libpq >= 14"], capture_output=True).returncode != 0:
            missing = "no libpq of version 14 or newer to compile with here"
        return missing

    @classmethod
    def prepare(cls):
        os.makedirs(os.path.dirname(cls.program_path), exist_ok=True)
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libpq"], capture_output=True, text=True).stdout.split()
        return call(["cc", "-std=gnu17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", cls.source, *flags, "-o", cls.program_path], HERE)

    def command(self):
        return [self.program_path]


DRIVERS = [
    C("libpq pipelines", "pipeline.c"),
    DistributionPython("psycopg", "with_psycopg.py", "psycopg"),
    DistributionPython("asyncpg", "with_asyncpg.py", "asyncpg"),
    DistributionPython("sqlalchemy", "with_sqlalchemy.py", "sqlalchemy", "psycopg2", "asyncpg", "greenlet"),
    DistributionPython("django", "with_django.py", "django", "psycopg2"),
]
