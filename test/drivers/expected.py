"""The one table of what is known not to work through pgring yet: "driver: check" as a shell pattern, and why.

Such a check runs; its failure counts as skipped. A row that excuses nothing any more is named at the end of the run and has to go.
"""
import fnmatch

EXPECTED = {
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
