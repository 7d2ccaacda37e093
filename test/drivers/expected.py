"""The one table of what is known not to work through pgring yet: "driver: check" as a shell pattern, and why.

Such a check runs; its failure counts as skipped. A row that excuses nothing any more is named at the end of the run and has to go.
"""
import fnmatch

PREPARED = "named prepared statements in transaction mode are to come"
UNNAMED = "an unnamed statement that is bound after its Sync: to come"
SETTINGS = "what SET changes follows its client across transactions: to come"
PINS = "what cannot move keeps its server: to come"
LISTEN = "LISTEN in transaction mode is to come"

EXPECTED = {
    "*: notifications": LISTEN,
    "Knex: settings*": SETTINGS,
    "asyncpg*: *": PREPARED,
    "database/sql: pgx *": PREPARED,
    "database/sql: pq prepared": PREPARED,
    "database/sql: pq settings": SETTINGS,
    "database/sql: pq *": UNNAMED,
    "Django*: iterators outside of a transaction": PINS,
    "Django*: the time zone stays": SETTINGS,
    "libpq pipelines: prepared in pipelines": PREPARED,
    "node-postgres: settings": SETTINGS,
    "node-postgres: *": PREPARED,
    "pgJDBC: isolation and read only": SETTINGS,
    "pgJDBC: *": PREPARED,
    "pgx: *": PREPARED,
    "postgres.js: *": PREPARED,
    "psycopg*: *": PREPARED,
    "SQLAlchemy*: asyncpg *": PREPARED,
    "sqlx: *": PREPARED,
    "tokio-postgres: *": PREPARED,
}
_excused = {row: None for row in EXPECTED}  # None: no such check ran


def reason(check, failed):
    """Why `check` may fail, or None."""
    for row, why in EXPECTED.items():
        if fnmatch.fnmatchcase(check, row):
            _excused[row] = bool(_excused[row]) or failed
            return why
    return None


def useless():
    """Rows whose checks have all passed."""
    return [row for row, used in _excused.items() if used is False]
