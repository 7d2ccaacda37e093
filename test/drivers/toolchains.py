"""The drivers: which program is whose, what it needs, and how that is installed with the ordinary package clients.

Everything lands in build-test/drivers. Versions are fixed by the files beside the programs.
"""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(ROOT, "build-test", "drivers")
PREPARE_LIMIT_S = 900


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
            for attempt in range(3):  # what is fetched comes over a network
                kind.prepared = kind.prepare()
                if not kind.prepared or not os.environ.get("CI"):
                    break
                time.sleep(10 * (attempt + 1))
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


class NewestPython(Driver):
    """The same programs with newer drivers: SQLAlchemy and Django over psycopg 3, above all."""

    place = os.path.join(CACHE, "pip")

    @staticmethod
    def python():
        for python in (DistributionPython.python, shutil.which("python3")):
            if python and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
                return python
        return None

    def lack(self):
        python = self.python()
        if not python:
            return "no pip here"
        found = version_of([python, "--version"])
        return None if found and found >= (3, 10) else "Python %d.%d is too old, 3.10 is needed" % found

    @classmethod
    def prepare(cls):
        wanted, mark = os.path.join(HERE, "python", "requirements.txt"), os.path.join(cls.place, "installed")
        if is_fresh(mark, wanted):
            return None
        shutil.rmtree(cls.place, ignore_errors=True)
        problem = call([cls.python(), "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", cls.place, "-r", wanted], HERE)
        if not problem:
            mark_fresh(mark, wanted)
        return problem

    def environment(self):
        return {"PYTHONPATH": self.place}

    def command(self):
        return [self.python(), "-B", os.path.join(HERE, "python", self.program)]


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


class Go(Driver):
    tool, tool_version, least = "go", ("version",), (1, 23)
    variables = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}

    @classmethod
    def prepare(cls):
        os.makedirs(os.path.join(CACHE, "go"), exist_ok=True)
        return call(["go", "build", "-o", os.path.join(CACHE, "go") + "/", "./with_pgx", "./with_sql"], os.path.join(HERE, "go"), env=cls.variables)

    def command(self):
        return [os.path.join(CACHE, "go", self.program)]


class Node(Driver):
    tool, tool_version, least = "node", ("--version",), (18, 0)
    place = os.path.join(CACHE, "node")

    def lack(self):
        return super().lack() or (None if shutil.which("npm") else "no npm here")

    @classmethod
    def prepare(cls):
        """Modules are found from where the program stands: all of it is copied."""
        os.makedirs(cls.place, exist_ok=True)
        for source in glob.glob(os.path.join(HERE, "node", "*")):
            shutil.copy(source, cls.place)
        lock, mark = os.path.join(cls.place, "package-lock.json"), os.path.join(cls.place, "installed")
        if is_fresh(mark, lock):
            return None
        problem = call(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cls.place)
        if not problem:
            mark_fresh(mark, lock)
        return problem

    def command(self):
        return ["node", os.path.join(self.place, self.program)]


class Rust(Driver):
    tool, tool_version, least = "cargo", ("--version",), (1, 82)
    place = os.path.join(CACHE, "rust")
    target = os.path.join(CACHE, "rust-target")

    @classmethod
    def prepare(cls):
        shutil.rmtree(cls.place, ignore_errors=True)
        shutil.copytree(os.path.join(HERE, "rust"), cls.place)
        problem = cls._write_lock()
        return problem or call(["cargo", "build", "--locked", "--quiet"], cls.place, env={**os.environ, "CARGO_TARGET_DIR": cls.target})

    @classmethod
    def _write_lock(cls):
        """versions.lock is a Cargo.lock without the lines that name a registry: they are cargo's own, and taken from it."""
        mine, lock = os.path.join(cls.place, "versions.lock"), os.path.join(cls.place, "Cargo.lock")
        kept = os.path.join(CACHE, "Cargo.lock")
        if is_fresh(kept + ".mark", mine):
            shutil.copy(kept, lock)
            return None
        problem = call(["cargo", "generate-lockfile", "--quiet"], cls.place)
        if problem:
            return problem
        with open(lock) as file:
            source = next(line for line in file if line.startswith("source = "))
        with open(mine) as file:
            text = file.read()
        with open(lock, "w") as file:
            file.write(re.sub(r"(?m)^(?=checksum = )", lambda _: source, text))
        shutil.copy(lock, kept)
        mark_fresh(kept + ".mark", mine)
        return None

    def command(self):
        return [os.path.join(self.target, "debug", self.program)]


class Java(Driver):
    tool, tool_version, least = "javac", ("--version",), (17, 0)
    place = os.path.join(CACHE, "java")
    PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

    def lack(self):
        return super().lack() or (None if shutil.which("mvn") else "no mvn here")

    @classmethod
    def prepare(cls):
        source, library = os.path.join(HERE, "java"), os.path.join(cls.place, "lib")
        sums, mark = os.path.join(source, "jars.sha256"), os.path.join(cls.place, "installed")
        os.makedirs(library, exist_ok=True)
        if not is_fresh(mark, sums):
            problem = (call(["mvn", "-q", "-B", "-f", os.path.join(source, "pom.xml"), cls.PLUGIN, "-DoutputDirectory=" + library], cls.place)
                       or call(["sha256sum", "--check", "--quiet", sums], library))
            if problem:
                return problem
            mark_fresh(mark, sums)
        return call(["javac", "-d", cls.place, "-cp", library + "/*", os.path.join(source, "JdbcProgram.java")], cls.place)

    def command(self):
        return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", self.place + ":" + self.place + "/lib/*", "JdbcProgram"]


DRIVERS = [
    C("libpq pipelines", "pipeline.c"),
    DistributionPython("psycopg", "with_psycopg.py", "psycopg"),
    DistributionPython("asyncpg", "with_asyncpg.py", "asyncpg"),
    DistributionPython("SQLAlchemy", "with_sqlalchemy.py", "sqlalchemy", "psycopg2", "asyncpg", "greenlet"),
    DistributionPython("Django", "with_django.py", "django", "psycopg2"),
    NewestPython("psycopg, newest", "with_psycopg.py"),
    NewestPython("asyncpg, newest", "with_asyncpg.py"),
    NewestPython("SQLAlchemy, newest", "with_sqlalchemy.py"),
    NewestPython("Django, newest", "with_django.py"),
    Go("pgx", "with_pgx"),
    Go("database/sql", "with_sql"),
    Node("node-postgres", "with_pg.mjs"),
    Node("postgres.js", "with_postgres.mjs"),
    Node("Knex", "with_knex.mjs"),
    Java("pgJDBC", "JdbcProgram"),
    Rust("tokio-postgres", "with_tokio_postgres"),
    Rust("sqlx", "with_sqlx"),
]
