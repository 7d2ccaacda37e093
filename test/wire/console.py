"""A console client whose answers come as lists of dictionaries."""
import pytest

import wireclient
from wireclient import query


class Console:
    def __init__(self, wire):
        self.wire = wire
        self.tag = None
        self.notices = []
        self.columns = []

    def ask(self, command, timeout=None):
        self.wire.send(query(command))
        return self.table(self.wire.read_ready(timeout=timeout))

    def table(self, messages):
        rows, self.notices, self.columns = [], [], []
        for kind, body in messages:
            if kind == b"E":
                raise wireclient.ServerError(wireclient.error_fields(body))
            if kind == b"T":
                self.columns = wireclient.row_description(body)
            elif kind == b"D":
                values = [None if v is None else v.decode() for v in wireclient.data_row(body)]
                assert len(values) == len(self.columns)
                rows.append(dict(zip((c[0] for c in self.columns), values)))
            elif kind == b"N":
                self.notices += wireclient.error_fields(body).values()
            elif kind == b"C":
                self.tag = body[:-1].decode()
        assert messages[-1] == (b"Z", b"I")
        return rows

    def row(self, command, **where):
        rows = [r for r in self.ask(command) if all(r[k] == v for k, v in where.items())]
        assert len(rows) == 1, "%d rows of %s with %s" % (len(rows), command, where)
        return rows[0]

    def refused(self, command):
        """The error fields; the connection must go on."""
        with pytest.raises(wireclient.ServerError) as caught:
            self.ask(command)
        assert caught.value.fields["S"] == "ERROR"
        self.ask("SHOW VERSION")
        return caught.value.fields

    def says(self, command, timeout=None):
        """The command's tag, when it has no rows."""
        assert self.ask(command, timeout) == []
        return self.tag
