"""lastval and currval outside of session mode: what others have taken is nobody's business."""
import pytest

import wireclient
from wireclient import SYNC, bind, execute, parse

pytestmark = pytest.mark.pgring_only
NOT_YET = "55000"
FIXTURE = ("DROP TABLE IF EXISTS public.numbered; DROP SEQUENCE IF EXISTS public.apart;"
           "CREATE TABLE public.numbered (id serial, a int); CREATE SEQUENCE public.apart; GRANT ALL ON public.numbered TO PUBLIC;"
           "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC")


class Pair:
    """A client and its neighbour, on one server."""

    def __init__(self, pooler, postgres, extended, **options):
        postgres.sql(FIXTURE)
        self.pooler = pooler(default_pool_size=1, **options)
        self.client, self.neighbour, self.extended = self.pooler.connect(), self.pooler.connect(), extended

    def taken_by_neighbour(self):
        assert int(self.neighbour.one("SELECT nextval('public.apart') + nextval('public.numbered_id_seq')")) > 0

    def ask(self, *statements):
        """The values of the last one, or the SQLSTATE of the first that fails."""
        for statement in statements:
            if self.extended:
                self.client.send(parse(statement) + bind() + execute() + SYNC)
            else:
                self.client.send(wireclient.query(statement))
            try:
                rows = wireclient.Wire.rows(self.client.read_ready())
            except wireclient.ServerError as error:
                return error.sqlstate
        return rows


@pytest.fixture(params=(False, True), ids=("simple", "extended"))
def pair(request, pooler, postgres):
    return Pair(pooler, postgres, request.param)


@pytest.mark.parametrize("asks", ("SELECT lastval()", "SELECT currval('public.apart')"))
@pytest.mark.parametrize("before", ((), ("SELECT 1",), ("SELECT count(*) FROM public.numbered", "SELECT max(id) FROM public.numbered WHERE (a = 1)"),
                                    ("SET LOCAL work_mem = '1MB'",), ("SAVEPOINT s",)))
def test_nothing_taken(pair, before, asks):
    """Not in a transaction either, whatever came first; and once the client is known to ask, it has a server of its own."""
    pair.taken_by_neighbour()
    assert pair.ask("BEGIN", *before, asks) == NOT_YET
    pair.ask("ROLLBACK")
    own = pair.ask("SELECT nextval('public.apart')")
    assert pair.ask("BEGIN", *before, asks) == own
    pair.ask("COMMIT")
    assert pair.ask(asks) == own


def test_taken_in_the_transaction(pair):
    """What it has taken it sees, by whatever it was taken; and what the transaction before took is another's by then."""
    for takes, asks in (("INSERT INTO public.numbered (a) VALUES (1)", "SELECT lastval() = (SELECT max(id) FROM public.numbered)"),
                        ("SELECT nextval('public.apart')", "SELECT lastval() = currval('public.apart')")):
        for before in ((), ("SELECT 1",)):
            pair.taken_by_neighbour()
            assert pair.ask("BEGIN", *before, takes, asks) == [["t"]]
            pair.ask("COMMIT")


def test_another_one_taken(pair):
    """It has taken from one sequence and asks for another: from the second time on, it is not told what others took."""
    pair.taken_by_neighbour()
    pair.ask("BEGIN", "INSERT INTO public.numbered (a) VALUES (1)", "SELECT currval('public.numbered_id_seq')")
    pair.ask("COMMIT")
    for begin in (("BEGIN",), ("BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")):
        pair.taken_by_neighbour()
        assert pair.ask(*begin, "INSERT INTO public.numbered (a) VALUES (1)", "SELECT currval('public.apart')") == NOT_YET
        pair.ask("ROLLBACK")
        pair.taken_by_neighbour()
        assert pair.ask(*begin, "INSERT INTO public.numbered (a) VALUES (1)", "SELECT lastval() = currval('public.numbered_id_seq')") == [["t"]]
        pair.ask("COMMIT")
    assert pair.neighbour.one("SELECT 1") == "1", "the client keeps the server"


def test_in_one_string(pooler, postgres):
    pair = Pair(pooler, postgres, False)
    for statements in (("SELECT 1; SELECT lastval()",), ("BEGIN", "SELECT 1", "SELECT 1; SELECT lastval()")):
        pair.taken_by_neighbour()
        assert pair.ask(*statements) == NOT_YET
        pair.ask("ROLLBACK")
    pair.taken_by_neighbour()
    assert int(pair.ask("INSERT INTO public.numbered (a) VALUES (1) RETURNING currval('public.numbered_id_seq')")[0][0]) > 0


def test_by_execute(pooler, postgres):
    """What SQL's EXECUTE executes is known where its statement is."""
    pair = Pair(pooler, postgres, False, prepared_statements="full")
    pair.ask("PREPARE asks AS SELECT lastval()", "PREPARE takes AS INSERT INTO public.numbered (a) VALUES ($1)")
    pair.taken_by_neighbour()
    assert pair.ask("BEGIN", "SELECT 1", "EXECUTE asks") == NOT_YET
    pair.ask("ROLLBACK")
    other = Pair(pooler, postgres, False, prepared_statements="full")
    other.ask("PREPARE asks AS SELECT lastval() > 0", "PREPARE takes AS INSERT INTO public.numbered (a) VALUES ($1)")
    other.taken_by_neighbour()
    assert other.ask("BEGIN", "EXECUTE takes(1)", "EXECUTE asks") == [["t"]]
    other.ask("COMMIT")
