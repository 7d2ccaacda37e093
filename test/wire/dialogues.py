"""Scripted conversations. Each is held once with PostgreSQL itself and then through the pooler; the answers must be the same.

A dialogue is a list of steps over bytes. Because PostgreSQL reads its input strictly in order, the answer to most dialogues does
not depend on how the input is cut into packets: so they are also sent in one piece, in random pieces and byte by byte.
"""
import struct

from wireclient import (COPY_DONE, FLUSH, OUTLIVES_CANCEL, SYNC, TERMINATE, bind, close_portal, close_statement, copy_data, copy_fail,
                        describe_portal, describe_statement, execute, function_call, message, parse, query, text)

# Run once by the superuser in the test database, then wire_reset() before each dialogue.
FIXTURE = """
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2) CHECK (price >= 0), made timestamptz, tags text[]);
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE lines (id serial PRIMARY KEY, line text);
CREATE TABLE pairs (a int, b text);
CREATE FUNCTION say(what text) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN RAISE NOTICE 'said %', what USING DETAIL = 'a detail', HINT = 'a hint'; RETURN what; END$$;
CREATE FUNCTION fail(what text) RETURNS int LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'failed %', what USING ERRCODE = 'WIRE1', DETAIL = 'why', TABLE = 'none'; END$$;
CREATE PROCEDURE commits(rows int) LANGUAGE plpgsql AS
    $$BEGIN FOR i IN 1..rows LOOP INSERT INTO lines (line) VALUES ('row ' || i); IF i % 2 = 0 THEN COMMIT; END IF; END LOOP; END$$;
CREATE PROCEDURE doubles(INOUT n int) LANGUAGE plpgsql AS $$BEGIN n := n * 2; END$$;
CREATE FUNCTION wire_reset() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET client_min_messages = 'warning' SET lock_timeout = '35s' AS $$BEGIN
    TRUNCATE items, parents, children, lines, pairs RESTART IDENTITY CASCADE;
    INSERT INTO items VALUES (1, 'one', 1.50, '2020-01-02 03:04:05+00', '{a,b}'), (2, 'two', 0, NULL, '{}'),
        (3, 'drei', NULL, '1999-12-31 23:59:59.999999+00', NULL), (4, '', 4.44, 'infinity', '{NULL,"x y"}'), (5, 'f\u00fcnf', 5, NULL, NULL);
    INSERT INTO parents SELECT generate_series(1, 3);
END$$;
CREATE FUNCTION wire_state() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(x, E'\\n') FROM (
        SELECT 'items ' || t::text FROM items t UNION ALL SELECT 'parents ' || t::text FROM parents t UNION ALL
        SELECT 'children ' || t::text FROM children t UNION ALL SELECT 'lines ' || line FROM lines UNION ALL
        SELECT 'pairs ' || count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY a, b)), '') FROM pairs t ORDER BY 1) s(x)
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;
"""

TRANSACTION, SESSION, STATEMENT = "transaction", "session", "statement"
ALL = (TRANSACTION, SESSION, STATEMENT)
NO_STATEMENT = (TRANSACTION, SESSION)  # uses transaction blocks
ONLY_SESSION = (SESSION,)  # leaves state behind that only a session may keep


# ---- steps ---------------------------------------------------------------------------------------------------------


class Step:
    """kind: send, until, end, active or cancel; the meaning of `value` follows from it."""

    def __init__(self, kind, value=None, count=1):
        self.kind, self.value, self.count = kind, value, count


def send(*parts):
    return Step("send", b"".join(parts))


def ready(count=1):
    return Step("until", b"Z", count)


def until(kinds, count=1):
    return Step("until", kinds, count)


def end():
    """The server closes the connection."""
    return Step("end")


def active(marker):
    """Waits until a statement with this text runs."""
    return Step("active", marker)


def cancel():
    return Step("cancel")


def ask(*statements):
    """Simple queries one after the other."""
    return [step for sql in statements for step in (send(query(sql)), ready())]


def extended(sql, values=(), **how):
    """One statement by the extended protocol, without Sync."""
    return parse(sql) + bind(values, **how) + describe_portal() + execute()


class Dialogue:
    """modes: pool modes in which it must be the same as without a pooler.
    compare: exact; text (errors by severity, SQLSTATE, message and position); sqlstate (errors by severity and SQLSTATE only); refusal (the same, or the pooler answers FATAL 08P01 and closes
    somewhere on the way); violation (the pooler must do that where PostgreSQL closes, with or without a word).
    pieces: may be cut anywhere. bulk: compare long runs of rows by their hash. split: try every cut (it must not write).
    slow: takes more than a second or two."""

    def __init__(self, name, steps, modes, compare, pieces, bulk, split, slow):
        self.name, self.steps, self.modes, self.compare = name, steps, modes, compare
        self.pieces = pieces and all(step.kind in ("send", "until", "end") for step in steps)
        self.bulk, self.split, self.slow = bulk, split, slow
        self.sent = b"".join(step.value for step in steps if step.kind == "send")


DIALOGUES = {}


def dialogue(name, *steps, modes=ALL, compare="exact", pieces=True, bulk=False, split=False, slow=False):
    flat = []
    for step in steps:
        flat.extend(step if isinstance(step, list) else [step])
    assert name not in DIALOGUES, name
    DIALOGUES[name] = Dialogue(name, flat, modes, compare, pieces, bulk, split, slow)


# ---- simple queries ------------------------------------------------------------------------------------------------

dialogue("simple_one_row", ask("SELECT 1"), split=True)
dialogue("simple_types", ask(
    "SELECT 1::int2, 2::int4, 3::int8, 1.5::float8, 1.10::numeric, true, 'text'::text, 'c'::char(3), '\\xdeadbeef'::bytea, "
    "'2020-02-29'::date, '12:34:56'::time, '1 day 2 hours'::interval, '{1,2}'::int[], ROW(1,'a'), '{\"a\":1}'::jsonb, "
    "'11111111-2222-3333-4444-555555555555'::uuid, NULL"))
dialogue("simple_table", ask("SELECT * FROM items ORDER BY id"))
dialogue("simple_null_and_empty", ask("SELECT NULL, '', NULL::int, ' '"))
dialogue("simple_no_columns", ask("SELECT", "SELECT FROM items"))
dialogue("simple_no_rows", ask("SELECT * FROM items WHERE false"))
dialogue("simple_same_column_names", ask("SELECT 1 AS a, 2 AS a, 3 AS \"A b\""))
dialogue("simple_1600_columns", ask("SELECT " + ", ".join(str(i) for i in range(1600))))
dialogue("simple_too_many_columns", ask("SELECT " + ", ".join(str(i) for i in range(1700))))
dialogue("empty_query", ask(""), split=True)
dialogue("empty_query_spaces", ask("   \n\t "))
dialogue("empty_query_semicolons", ask(";;;"))
dialogue("empty_query_comment", ask("-- nothing", "/* nothing */"))
dialogue("multi_selects", ask("SELECT 1; SELECT 2; SELECT 3"), split=True)
dialogue("multi_with_empty_statements", ask(";SELECT 1;;SELECT 2;"))
dialogue("multi_mixed_tags", ask("INSERT INTO lines (line) VALUES ('a'), ('b'); UPDATE lines SET line = 'c'; DELETE FROM lines WHERE id = 1; "
    "SELECT * FROM lines; TABLE lines; VALUES (1), (2)"))
dialogue("multi_error_in_the_middle", ask("INSERT INTO lines (line) VALUES ('lost'); SELECT 1/0; INSERT INTO lines (line) VALUES ('never')",
    "SELECT count(*) FROM lines"))
dialogue("multi_syntax_error", ask("INSERT INTO lines (line) VALUES ('never'); SELEC 1", "SELECT count(*) FROM lines"))
dialogue("multi_500_statements", ask("SELECT 1;" * 500))
dialogue("quotes_hide_semicolons", ask("SELECT 'a;b', $$c;d$$, $x$ $$ ; $x$, \"name\" FROM (SELECT 1 AS name) \";\" /* ; */ -- ;\n; SELECT 2"))
dialogue("create_use_drop", ask("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT * FROM t; DROP TABLE t"))
dialogue("select_into_and_create_as", ask("CREATE TABLE made AS SELECT 1 AS a", "SELECT * FROM made", "DROP TABLE made"))
dialogue("explain_and_show", ask("EXPLAIN (COSTS OFF) SELECT * FROM items WHERE id = 1", "SHOW server_encoding", "SHOW standard_conforming_strings"))
dialogue("do_and_call", ask("DO $$BEGIN PERFORM 1; END$$", "CALL doubles(21)", "CALL commits(5)", "SELECT line FROM lines ORDER BY id"))
dialogue("call_with_commit_inside_a_string", ask("SELECT 1; CALL commits(2)"))
dialogue("vacuum_alone_and_in_a_string", ask("VACUUM pairs", "VACUUM pairs; SELECT 1", "SELECT 1; VACUUM pairs"))
dialogue("insert_returning", ask("INSERT INTO lines (line) VALUES ('x'), ('y') RETURNING id, upper(line)"))
dialogue("merge_and_upsert", ask("INSERT INTO items VALUES (1, 'uno') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *",
    "MERGE INTO items USING (VALUES (2), (9)) v(id) ON items.id = v.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'nine')"))
dialogue("unicode", ask("SELECT 'Zwölf Boxkämpfer', '日本語', '🐘', U&'\\0041' AS \"Größe\""))
dialogue("query_bytes_are_not_utf8", ask(b"SELECT '\xff\xfe'", b"\xc3\x28", "SELECT 1"))
dialogue("query_bytes_control_characters", ask(b"SELECT '\x01\x02\x7f\r\n\t'", b"\x03SELECT 1"))
dialogue("pipelined_50_queries", send(*(query("SELECT %d" % i) for i in range(50))), ready(50))
dialogue("pipelined_queries_and_errors", send(*(query("SELECT 1/%d" % (i % 3)) for i in range(30))), ready(30))
dialogue("pipelined_empty_queries", send(query("") * 40), ready(40))
dialogue("flush_and_sync_between_queries", send(FLUSH, query("SELECT 1"), FLUSH, SYNC, query("SELECT 2"), SYNC, SYNC), ready(5))

# ---- errors and notices --------------------------------------------------------------------------------------------

dialogue("error_syntax", ask("SELEC 1", "SELECT 1"), split=True)
dialogue("error_names", ask("SELECT * FROM missing", "SELECT missing FROM items", "SELECT missing(1)", "SELECT ítems.* FROM items"))
dialogue("error_constraints", ask("INSERT INTO items VALUES (1, 'again')", "INSERT INTO items VALUES (7, NULL)", "INSERT INTO items VALUES (7, 'x', -1)",
    "DELETE FROM parents; INSERT INTO children VALUES (1, 99)"))
dialogue("error_with_all_fields", ask("SELECT fail('here')"))
dialogue("error_in_the_middle_of_rows", ask("SELECT 100 / (50 - g) FROM generate_series(1, 100) g"))
dialogue("error_after_many_rows", ask("SELECT 1 / (20000 - g), repeat('x', 100) FROM generate_series(1, 30000) g"), bulk=True)
dialogue("error_permission", ask("SELECT * FROM pg_authid", "ALTER SYSTEM SET work_mem = '1MB'"))
dialogue("notice", ask("SELECT say('a'), say('b')"), split=True)
dialogue("notice_levels", ask("DO $$BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w'; RAISE INFO 'i'; RAISE LOG 'l'; RAISE DEBUG 'd'; END$$"))
dialogue("notice_then_error", ask("SELECT say('before'), fail('after')"))
dialogue("notice_500", ask("DO $$BEGIN FOR i IN 1..500 LOOP RAISE NOTICE 'number % %', i, repeat('x', 200); END LOOP; END$$"))
dialogue("notice_1_mb", ask("DO $$BEGIN RAISE NOTICE '%', repeat('n', 1000000); END$$"))
dialogue("error_1_mb", ask("DO $$BEGIN RAISE EXCEPTION '%', repeat('e', 1000000); END$$"))
dialogue("warning_without_transaction", ask("COMMIT", "ROLLBACK", "END", "ABORT", "SELECT 1"), modes=NO_STATEMENT)

# ---- sizes ---------------------------------------------------------------------------------------------------------

dialogue("rows_around_buffer_sizes", *[ask("SELECT repeat('x', %d)" % (size + d)) for size in (2048, 4096, 8192, 16384, 32768, 65536)
    for d in (-40, -12, -11, -10, -9, -1, 0, 1)])
dialogue("queries_around_buffer_sizes", *[ask("SELECT length('%s')" % ("x" * (size + d))) for size in (2048, 4096, 8192, 16384, 65536)
    for d in (-30, -25, -24, -23, -22, -21, -6, -5, -4, 0, 1)])
dialogue("pipelined_queries_of_growing_size", send(*(query("SELECT length('%s')" % ("x" * (7 * i))) for i in range(700))), ready(700))
dialogue("row_1_mb", ask("SELECT repeat('abcdefgh', 131072)"))
dialogue("row_20_mb", ask("SELECT repeat('abcdefgh', 2621440), 1"), bulk=True)
dialogue("rows_100_of_100_kb", ask("SELECT g, repeat('x', 100000) FROM generate_series(1, 100) g"), bulk=True)
dialogue("rows_100000", ask("SELECT g, 'row ' || g FROM generate_series(1, 100000) g"), bulk=True)
dialogue("rows_1000000", ask("SELECT g FROM generate_series(1, 1000000) g"), bulk=True, slow=True, pieces=False)
dialogue("query_1_mb", ask("SELECT length('" + "q" * (1 << 20) + "')"))
dialogue("query_5_mb", ask("SELECT md5('" + "0123456789" * (1 << 19) + "')"))
dialogue("query_5_mb_comes_back", ask("SELECT '" + "0123456789abcdef" * (5 << 16) + "'"), bulk=True)
dialogue("query_5_mb_syntax_error", ask("SELEC '" + "x" * (5 << 20) + "'", "SELECT 1"), bulk=True)
dialogue("parameter_1_mb", send(extended("SELECT length($1), $1", ["p" * (1 << 20)]), SYNC), ready())
dialogue("parameter_16_mb_binary", send(extended("SELECT length($1::bytea), md5($1::bytea)", [b"\0\1\2\3" * (4 << 20)], formats=[1]), SYNC), ready(), bulk=True)
dialogue("big_and_small_alternate", *[ask("SELECT %d" % i, "SELECT repeat('%d', 300000)" % (i % 10)) for i in range(10)])

# ---- transactions --------------------------------------------------------------------------------------------------

for number, begin in enumerate((
        "BEGIN", "begin;", "BEGIN WORK", "BEGIN TRANSACTION", "START TRANSACTION", "  /* c */ BEGIN", "-- c\nbegin", "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "BEGIN READ ONLY", "START TRANSACTION READ WRITE, ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
        "BEGIN NOT DEFERRABLE", "bEgIn /* c */ ; -- d")):
    dialogue("begin_form_%02d" % number, ask(begin, "SHOW transaction_isolation", "SHOW transaction_read_only", "INSERT INTO lines (line) VALUES ('x')", "COMMIT",
        "SELECT count(*) FROM lines"), modes=NO_STATEMENT)
dialogue("begin_wrong", ask("BEGIN NONSENSE", "BEGIN ISOLATION LEVEL", "SELECT 1"), modes=NO_STATEMENT)
dialogue("begin_commit", ask("BEGIN", "INSERT INTO lines (line) VALUES ('kept')", "COMMIT", "SELECT line FROM lines"), modes=NO_STATEMENT, )
dialogue("begin_rollback", ask("BEGIN", "INSERT INTO lines (line) VALUES ('lost')", "ROLLBACK", "SELECT line FROM lines"), modes=NO_STATEMENT)
dialogue("begin_alone", ask("BEGIN", "COMMIT", "BEGIN", "ROLLBACK", "BEGIN", "END", "BEGIN", "ABORT"), modes=NO_STATEMENT, split=True)
dialogue("begin_twice", ask("BEGIN", "BEGIN", "SELECT 1", "COMMIT", "COMMIT"), modes=NO_STATEMENT)
dialogue("begin_then_error_at_once", ask("BEGIN", "SELEC", "SELECT 1", "COMMIT"), modes=NO_STATEMENT)
dialogue("begin_then_empty_query", ask("BEGIN", "", "COMMIT"), modes=NO_STATEMENT)
dialogue("begin_then_sync_and_flush", ask("BEGIN"), send(FLUSH, SYNC), ready(), ask("ROLLBACK"), modes=NO_STATEMENT)
dialogue("begin_in_a_string", ask("BEGIN; SELECT 1; COMMIT", "BEGIN; SELECT 2", "SELECT 3", "COMMIT; SELECT 4"), modes=NO_STATEMENT)
dialogue("begin_in_the_middle_of_a_string", ask("SELECT 1; BEGIN; SELECT 2", "SELECT 3", "ROLLBACK; SELECT 4"), modes=NO_STATEMENT)
dialogue("commit_begin_in_a_string", ask("BEGIN", "INSERT INTO lines (line) VALUES ('a')", "COMMIT; BEGIN; INSERT INTO lines (line) VALUES ('b')", "ROLLBACK"),
    modes=NO_STATEMENT)
dialogue("string_fails_after_begin", ask("BEGIN; SELECT 1/0; COMMIT", "SELECT 1", "ROLLBACK", "SELECT 1"), modes=NO_STATEMENT)
dialogue("string_fails_after_commit", ask("BEGIN; INSERT INTO lines (line) VALUES ('kept'); COMMIT; SELECT 1/0; SELECT 1", "SELECT count(*) FROM lines"), modes=NO_STATEMENT)
dialogue("failed_transaction", ask("BEGIN", "INSERT INTO lines (line) VALUES ('lost')", "SELECT 1/0", "SELECT 1", "", "SELECT 2; SELECT 3", "COMMIT", "SELECT count(*) FROM lines"),
    modes=NO_STATEMENT)
dialogue("failed_transaction_rolled_back", ask("BEGIN", "SELECT 1/0", "ROLLBACK", "SELECT 1"), modes=NO_STATEMENT, split=True)
dialogue("failed_transaction_begin", ask("BEGIN", "SELECT 1/0", "BEGIN", "ROLLBACK"), modes=NO_STATEMENT)
dialogue("savepoints", ask("BEGIN", "SAVEPOINT a", "INSERT INTO lines (line) VALUES ('1')", "SAVEPOINT b", "SELECT 1/0", "ROLLBACK TO b", "INSERT INTO lines (line) VALUES ('2')",
    "RELEASE a", "ROLLBACK TO a", "ROLLBACK", "SAVEPOINT outside", "SELECT count(*) FROM lines"), modes=NO_STATEMENT)
dialogue("chain", ask("BEGIN", "INSERT INTO lines (line) VALUES ('1')", "COMMIT AND CHAIN", "INSERT INTO lines (line) VALUES ('2')", "ROLLBACK AND CHAIN", "SELECT count(*) FROM lines",
    "COMMIT", "COMMIT AND CHAIN"), modes=NO_STATEMENT)
dialogue("read_only_violation", ask("BEGIN READ ONLY", "INSERT INTO lines (line) VALUES ('no')", "ROLLBACK"), modes=NO_STATEMENT)
dialogue("set_transaction", ask("BEGIN", "SET TRANSACTION READ ONLY", "SHOW transaction_read_only", "SET TRANSACTION READ WRITE", "SELECT 1", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "ROLLBACK", "SET TRANSACTION READ ONLY"), modes=NO_STATEMENT)
dialogue("set_local", ask("BEGIN", "SET LOCAL DateStyle = 'German'", "SELECT '2020-01-02'::date", "SET LOCAL work_mem = '77kB'", "SHOW work_mem", "COMMIT", "SELECT '2020-01-02'::date", "SHOW work_mem"),
    modes=NO_STATEMENT)
dialogue("set_local_outside", ask("SET LOCAL work_mem = '77kB'", "SHOW work_mem"), modes=NO_STATEMENT)
dialogue("commit_fails", ask("BEGIN", "INSERT INTO children VALUES (1, 99)", "COMMIT", "SELECT count(*) FROM children"), modes=NO_STATEMENT)
dialogue("set_constraints", ask("BEGIN", "INSERT INTO children VALUES (1, 99)", "SET CONSTRAINTS ALL IMMEDIATE", "ROLLBACK"), modes=NO_STATEMENT)
dialogue("prepare_transaction_refused", ask("BEGIN", "PREPARE TRANSACTION 'x'", "ROLLBACK", "COMMIT PREPARED 'x'"), modes=NO_STATEMENT)
dialogue("pipelined_transaction", send(query("BEGIN"), query("INSERT INTO lines (line) VALUES ('a')"), query("SELECT 1/0"), query("SELECT 1"), query("COMMIT"), query("SELECT count(*) FROM lines")),
    ready(6), modes=NO_STATEMENT)
dialogue("pipelined_20_transactions", send(*(query("BEGIN") + query("INSERT INTO lines (line) VALUES ('%d')" % i) + query("COMMIT") for i in range(20))), ready(60), modes=NO_STATEMENT)
dialogue("temp_table_on_commit_drop", ask("BEGIN", "CREATE TEMP TABLE gone (a int) ON COMMIT DROP", "INSERT INTO gone VALUES (1)", "SELECT * FROM gone", "COMMIT", "SELECT * FROM gone"), modes=NO_STATEMENT)
dialogue("sql_cursor", ask("BEGIN", "DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 10) g", "FETCH 3 FROM c", "MOVE 2 IN c", "FETCH ALL FROM c", "FETCH c", "CLOSE c", "FETCH c", "ROLLBACK"),
    modes=NO_STATEMENT)
dialogue("advisory_lock_of_the_transaction", ask("BEGIN", "SELECT pg_advisory_xact_lock(4711)", "SELECT pg_try_advisory_xact_lock(4711)", "COMMIT"), modes=NO_STATEMENT)

# ---- extended protocol ---------------------------------------------------------------------------------------------

dialogue("extended_one", send(parse("SELECT 1"), bind(), execute(), SYNC), ready(), split=True)
dialogue("extended_describe_portal", send(extended("SELECT id, name FROM items WHERE id < $1 ORDER BY id", ["4"]), SYNC), ready())
dialogue("extended_describe_statement", send(parse("SELECT name FROM items WHERE id = $1 AND price > $2"), describe_statement(), SYNC), ready())
dialogue("extended_describe_both", send(parse("SELECT $1::int + 1"), describe_statement(), bind(["41"]), describe_portal(), execute(), SYNC), ready(), split=True)
dialogue("extended_parse_only", send(parse("SELECT 1"), SYNC), ready())
dialogue("extended_bind_without_execute", send(parse("SELECT 1"), bind(), SYNC), ready())
dialogue("extended_sync_alone", send(SYNC), ready(), send(SYNC, SYNC, SYNC), ready(3))
dialogue("extended_flush_alone", send(FLUSH, FLUSH, SYNC), ready())
dialogue("extended_each_step_flushed", send(parse("SELECT $1::text"), FLUSH), until(b"1"), send(bind(["x"]), FLUSH), until(b"2"), send(describe_portal(), FLUSH), until(b"T"),
    send(execute(), FLUSH), until(b"C"), send(SYNC), ready())
dialogue("extended_flush_then_later_sync", send(extended("SELECT 1"), FLUSH), until(b"C"), send(extended("SELECT 2"), FLUSH), until(b"C"), send(SYNC), ready())
dialogue("extended_each_step_synced", send(parse("SELECT 7"), SYNC), ready(), send(bind(), SYNC), ready(), send(execute(), SYNC), ready(), modes=ONLY_SESSION)
dialogue("extended_unnamed_statement_survives_sync", send(parse("SELECT $1::int * 2"), describe_statement(), SYNC), ready(), send(bind(["1"]), execute(), SYNC), ready(),
    send(bind(["2"]), execute(), SYNC), ready(), modes=ONLY_SESSION)
dialogue("extended_unnamed_statement_in_transaction", ask("BEGIN"), send(parse("SELECT $1::int * 2"), SYNC), ready(), send(bind(["1"]), execute(), SYNC), ready(), send(bind(["2"]), execute(), SYNC),
    ready(), ask("COMMIT"), modes=NO_STATEMENT)
dialogue("extended_unnamed_statement_replaced", send(extended("SELECT 1"), extended("SELECT 'a', 'b'"), SYNC), ready())
dialogue("extended_rebind_in_one_batch", send(parse("SELECT $1::text"), *(bind([str(i)]) + execute() for i in range(10)), SYNC), ready())
dialogue("extended_types_given", send(parse("SELECT $1, $2, $3", types=[23, 25, 0]), describe_statement(), SYNC), ready(), send(parse("SELECT $1, $2", types=[23, 701]), bind(["1", "2.5"]), execute(), SYNC), ready())
dialogue("extended_null_parameter", send(extended("SELECT $1::int IS NULL, $2::text", [None, ""]), SYNC), ready())
dialogue("extended_binary_parameters", send(extended("SELECT $1::int4, $2::int8, $3::text, $4::bool", [struct.pack("!i", -5), struct.pack("!q", 1 << 40), "t", b"\1"], formats=[1, 1, 0, 1]), SYNC), ready())
dialogue("extended_binary_results", send(extended("SELECT 1::int4, 'x'::text, 2.5::float8, '2020-01-01'::timestamptz, NULL::int4", result_formats=[1]), SYNC), ready())
dialogue("extended_mixed_results", send(extended("SELECT 1::int4, 2::int4", result_formats=[1, 0]), SYNC), ready())
dialogue("extended_wrong_format_count", send(extended("SELECT 1, 2, 3", result_formats=[1, 0]), SYNC), ready(), send(extended("SELECT $1::int, $2::int", ["1", "2"], formats=[0, 0, 0]), SYNC), ready())
dialogue("extended_empty_query", send(extended(""), SYNC), ready(), send(parse(" "), describe_statement(), bind(), execute(), SYNC), ready())
dialogue("extended_multi_statement_refused", send(extended("SELECT 1; SELECT 2"), SYNC), ready())
dialogue("extended_dml", send(extended("INSERT INTO lines (line) VALUES ($1)", ["a"]), extended("UPDATE lines SET line = $1", ["b"]), extended("DELETE FROM lines WHERE line = $1", ["b"]), SYNC), ready())
dialogue("extended_returning_with_limit", send(parse("INSERT INTO lines (line) SELECT g::text FROM generate_series(1, 5) g RETURNING id"), bind(), describe_portal(), execute(rows=2), execute(rows=2), execute(rows=2), SYNC), ready())
dialogue("extended_utility", send(extended("SHOW server_encoding"), extended("EXPLAIN (COSTS OFF) SELECT 1"), extended("DO $$BEGIN END$$"), SYNC), ready())
dialogue("extended_notice", send(extended("SELECT say($1)", ["hello"]), SYNC), ready())
dialogue("extended_call", send(extended("CALL doubles($1)", ["4"]), SYNC), ready(), send(extended("CALL commits(4)"), SYNC), ready())
dialogue("extended_10000_parameters", send(extended("SELECT " + "+".join("$%d::int8" % i for i in range(1, 2001)), [str(i) for i in range(2000)]), SYNC), ready())
dialogue("extended_row_limit", send(parse("SELECT g FROM generate_series(1, 10) g"), bind(), execute(rows=3), execute(rows=3), execute(rows=3), execute(rows=3), execute(rows=3), SYNC), ready())
dialogue("extended_row_limit_exact", send(parse("SELECT g FROM generate_series(1, 3) g"), bind(), execute(rows=3), execute(rows=3), SYNC), ready())
dialogue("extended_row_limit_flushed", send(parse("SELECT g FROM generate_series(1, 5) g"), bind(), execute(rows=2), FLUSH), until(b"s"), send(execute(rows=2), FLUSH), until(b"s"), send(execute(rows=2), FLUSH),
    until(b"C"), send(SYNC), ready())
dialogue("extended_row_limit_negative", send(parse("SELECT g FROM generate_series(1, 5) g"), bind(), execute(rows=-1), SYNC), ready())
dialogue("extended_execute_twice", send(parse("SELECT 1"), bind(), execute(), execute(), SYNC), ready(), send(parse("INSERT INTO lines (line) VALUES ('once')"), bind(), execute(), execute(), SYNC), ready())
dialogue("extended_portal_ends_at_sync", send(parse("SELECT g FROM generate_series(1, 5) g"), bind(), execute(rows=2), SYNC), ready(), send(execute(rows=2), SYNC), ready())
dialogue("extended_portal_lives_in_transaction", ask("BEGIN"), send(parse("SELECT g FROM generate_series(1, 5) g"), bind(), execute(rows=2), SYNC), ready(), send(execute(rows=2), SYNC), ready(), send(execute(rows=2), SYNC),
    ready(), ask("COMMIT"), send(execute(rows=2), SYNC), ready(), modes=NO_STATEMENT)
dialogue("extended_named_portals", ask("BEGIN"), send(parse("SELECT 'a' || g FROM generate_series(1, 4) g"), bind(portal="a"), parse("SELECT 'b' || g FROM generate_series(1, 4) g"), bind(portal="b"), execute("a", 2), execute("b", 1),
    execute("a", 1), describe_portal("b"), execute("b"), execute("a"), SYNC), ready(), send(close_portal("a"), execute("a"), SYNC), ready(), ask("ROLLBACK"), modes=NO_STATEMENT)
dialogue("extended_named_portal_in_a_batch", send(parse("SELECT 1"), bind(portal="p"), execute("p"), bind(portal="p"), SYNC), ready(), send(parse("SELECT 2"), bind(portal="q"), execute("q"), close_portal("q"), execute("q"), SYNC), ready())
dialogue("extended_portal_and_fetch", ask("BEGIN"), send(parse("SELECT g FROM generate_series(1, 6) g"), bind(portal="p"), execute("p", 2), SYNC), ready(), ask("FETCH 2 FROM p", "CLOSE p", "COMMIT"), modes=NO_STATEMENT)
dialogue("extended_close_what_is_not", send(close_portal("nothing"), close_statement("nothing"), close_portal(), close_statement(), SYNC), ready())
dialogue("extended_close_unnamed_then_bind", send(parse("SELECT 1"), close_statement(), bind(), execute(), SYNC), ready())
dialogue("extended_missing_portal", send(execute("nothing"), SYNC), ready(), send(describe_portal("nothing"), SYNC), ready())
dialogue("extended_missing_statement", send(bind(name="nothing"), SYNC), ready(), send(describe_statement("nothing"), SYNC), ready(), modes=ONLY_SESSION)
dialogue("extended_parse_error", send(parse("SELEC"), bind(), execute(), SYNC), ready(), send(extended("SELECT 1"), SYNC), ready(), split=True)
dialogue("extended_bind_errors", send(extended("SELECT $1::int", ["no number"]), SYNC), ready(), send(extended("SELECT $1::int", []), SYNC), ready(), send(extended("SELECT 1", ["too many"]), SYNC), ready(),
    send(extended("SELECT $1::int4", [b"abc"], formats=[1]), SYNC), ready())
dialogue("extended_execute_error", send(extended("SELECT 1/$1::int", ["0"]), extended("SELECT 1"), SYNC), ready(), ask("SELECT 2"))
dialogue("extended_error_in_the_middle_of_rows", send(extended("SELECT 10/(5-g) FROM generate_series(1, 10) g"), SYNC), ready())
dialogue("extended_error_skips_all_kinds", send(parse("SELEC"), bind(), describe_portal(), execute(), close_portal(), FLUSH, query("SELECT 'skipped'"), extended("SELECT 'skipped'"), function_call(177, [b"\0\0\0\1", b"\0\0\0\2"]),
    copy_data("x"), COPY_DONE, copy_fail("x"), SYNC), ready(), ask("SELECT 'not skipped'"))
dialogue("extended_query_skipped_then_counted", send(parse("SELEC"), query("SELECT 'skipped'"), query("SELECT 'skipped'"), SYNC, query("SELECT 'counted'"), parse("SELEC"), SYNC, SYNC, query("SELECT 'counted'")), ready(5), split=True)
dialogue("extended_error_flushed_before_sync", send(parse("SELEC"), FLUSH), until(b"E"), send(bind(), execute(), query("SELECT 'skipped'"), FLUSH), send(SYNC), ready())
dialogue("extended_error_then_query_sent_later", send(parse("SELEC")), until(b"E"), send(query("SELECT 'skipped'")), send(SYNC), ready(), ask("SELECT 'counted'"))
dialogue("extended_segments_with_errors", send(*(extended("SELECT 1/%d" % (i % 2)) + extended("SELECT %d" % i) + SYNC for i in range(20))), ready(20))
dialogue("extended_implicit_transaction_rolls_back", send(extended("INSERT INTO lines (line) VALUES ('lost')"), extended("SELECT 1/0"), SYNC, extended("INSERT INTO lines (line) VALUES ('kept')"), SYNC), ready(2), ask("SELECT line FROM lines"))
dialogue("extended_error_at_sync", send(extended("INSERT INTO children VALUES (1, 99)"), SYNC), ready(), ask("SELECT count(*) FROM children"))
dialogue("extended_error_at_sync_in_a_pipeline", send(extended("INSERT INTO children VALUES (1, 99)"), SYNC, extended("INSERT INTO children VALUES (2, 1)"), SYNC, extended("SELECT id FROM children"), SYNC), ready(3))
dialogue("extended_100_batches", send(*(extended("SELECT %d" % i) + SYNC for i in range(100))), ready(100))
dialogue("extended_1000_batches_with_inserts", send(*(parse("INSERT INTO pairs VALUES ($1, $2)") + bind([str(i), "x" * (i % 97)]) + execute() + SYNC for i in range(1000))), ready(1000))
dialogue("extended_500_executes_one_sync", send(*(extended("SELECT %d" % i) for i in range(500)), SYNC), ready())
dialogue("extended_and_simple_alternate", send(extended("SELECT 1"), SYNC, query("SELECT 2"), extended("SELECT 3"), SYNC, query("SELECT 4; SELECT 5")), ready(4))
dialogue("extended_query_without_sync", send(extended("SELECT 1"), query("SELECT 2"), SYNC), ready(2), send(parse("SELECT 3"), bind(), query("SELECT 4"), execute(), SYNC), ready(2))
dialogue("extended_begin_commit", send(extended("BEGIN"), SYNC, extended("INSERT INTO lines (line) VALUES ('a')"), SYNC, extended("COMMIT"), SYNC), ready(3), modes=NO_STATEMENT)
dialogue("extended_begin_in_one_batch", send(extended("BEGIN"), extended("INSERT INTO lines (line) VALUES ('a')"), extended("COMMIT"), SYNC), ready(), modes=NO_STATEMENT)
dialogue("extended_begin_left_open_by_a_batch", send(extended("BEGIN"), extended("SELECT 1"), SYNC), ready(), send(extended("ROLLBACK"), SYNC), ready(), modes=NO_STATEMENT)
dialogue("extended_failed_transaction", send(extended("BEGIN"), SYNC, extended("SELECT 1/0"), SYNC, extended("SELECT 1"), SYNC, extended("COMMIT"), SYNC, extended("SELECT 2"), SYNC), ready(5), modes=NO_STATEMENT)
dialogue("extended_commit_ends_portals", ask("BEGIN"), send(parse("SELECT g FROM generate_series(1, 5) g"), bind(portal="p"), execute("p", 1), extended("COMMIT"), execute("p", 1), SYNC), ready(), modes=NO_STATEMENT)
dialogue("extended_sql_cursor", ask("BEGIN"), send(extended("DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 9) g"), extended("FETCH 2 FROM c"), SYNC), ready(), send(execute_c := bind(portal="f") + execute("f"), SYNC), ready(),
    ask("ROLLBACK"), modes=NO_STATEMENT)
dialogue("extended_vacuum_in_a_pipeline", send(extended("VACUUM pairs"), SYNC), ready(), send(extended("SELECT 1"), extended("VACUUM pairs"), SYNC), ready())
dialogue("extended_set_local", ask("BEGIN"), send(extended("SET LOCAL DateStyle = 'German'"), extended("SELECT '2020-01-02'::date"), SYNC), ready(), send(extended("ROLLBACK"), SYNC), ready(), modes=NO_STATEMENT)

# ---- named statements ------------------------------------------------------------------------------------------------

dialogue("named_unknown", send(bind(name="nobody"), execute(), SYNC), ready(), send(describe_statement("nobody"), SYNC), ready(), send(close_statement("nobody"), SYNC), ready(), ask("SELECT 1"))
dialogue("named_unknown_in_a_pipeline", send(extended("SELECT 1"), bind(name="nobody"), execute(), extended("SELECT 'skipped'"), SYNC, extended("SELECT 2"), SYNC), ready(2))
dialogue("named_unknown_like_ours", send(bind(name="pgring_"), SYNC), ready(), send(describe_statement("pgring_" + 32 * "0"), SYNC), ready(), send(close_statement("pgring_" + 32 * "0"), SYNC), ready(), compare="sqlstate")
dialogue("named_like_ours", send(parse("SELECT 1", "pgring_"), bind(name="pgring_"), execute(), SYNC), ready(), send(bind(name="pgring_"), execute(), close_statement("pgring_"), bind(name="pgring_"), SYNC), ready(), compare="sqlstate")
dialogue("named_parse_fails_and_leaves_its_name", send(parse("SELEC 1", "s"), SYNC), ready(), send(bind(name="s"), SYNC), ready(), send(parse("SELEC 2", "s"), SYNC), ready(), send(parse("SELECT 3", "s"), bind(name="s"), execute(), SYNC), ready(),
    send(bind(name="s"), execute(), SYNC), ready())
dialogue("named_parse_fails_in_a_pipeline", send(parse("SELECT nothing", "s"), bind(name="s"), execute(), SYNC, bind(name="s"), execute(), SYNC, parse("SELECT 1", "s"), bind(name="s"), execute(), SYNC), ready(3), compare="text")
dialogue("named_parse_skipped", send(extended("SELECT 1/0"), parse("SELECT 1", "s"), SYNC), ready(), send(bind(name="s"), SYNC), ready(), send(parse("SELECT 2", "s"), bind(name="s"), execute(), SYNC), ready())
dialogue("named_parse_skipped_late", send(parse("SELEC"), FLUSH), until(b"E"), send(parse("SELECT 1", "s"), FLUSH), send(SYNC), ready(), send(bind(name="s"), SYNC), ready(), send(parse("SELECT 1", "s"), bind(name="s"), execute(), SYNC), ready())
dialogue("named_same_text_skipped", send(parse("SELECT 1", "a"), SYNC), ready(), send(extended("SELECT 1/0"), parse("SELECT 1", "b"), SYNC), ready(), send(parse("SELECT 1", "b"), bind(name="a"), execute(), bind(name="b"), execute(), SYNC), ready())
dialogue("named_twice_in_a_pipeline", send(parse("SELECT 1", "s"), parse("SELECT 2", "s"), parse("SELECT 3", "t"), SYNC, bind(name="s"), execute(), SYNC, bind(name="t"), SYNC), ready(3), compare="text")
dialogue("named_twice_with_a_bad_text", send(parse("SELECT 1", "s"), SYNC), ready(), send(parse("SELEC", "s"), SYNC), ready(), send(parse("SELECT nothing", "s"), SYNC), ready(), send(bind(name="s"), execute(), SYNC), ready(), compare="text")
dialogue("named_close_and_parse_again", send(parse("SELECT 1", "s"), close_statement("s"), parse("SELECT 2", "s"), bind(name="s"), execute(), close_statement("s"), SYNC), ready(), send(bind(name="s"), SYNC), ready())
dialogue("named_close_skipped", send(parse("SELECT 1", "s"), SYNC), ready(), send(extended("SELECT 1/0"), close_statement("s"), SYNC), ready(), send(bind(name="s"), execute(), SYNC), ready())
dialogue("named_close_one_of_two", send(parse("SELECT 1", "a"), parse("SELECT 1", "b"), close_statement("a"), bind(name="b"), execute(), bind(name="a"), SYNC), ready(), send(bind(name="b"), execute(), SYNC), ready())
dialogue("named_in_a_failed_transaction", ask("BEGIN"), send(parse("SELECT 1", "s"), parse("ROLLBACK", "r"), extended("SELECT 1/0"), SYNC), ready(), send(parse("SELECT 2", "t"), SYNC), ready(), send(bind(name="s"), SYNC), ready(),
    send(bind(name="nobody"), SYNC), ready(), send(describe_statement("s"), SYNC), ready(), send(parse("SELECT 2", "s"), SYNC), ready(), send(close_statement("s"), SYNC), ready(), send(bind(name="r"), execute(), SYNC), ready(),
    send(bind(name="s"), SYNC), ready(), send(bind(name="t"), SYNC), ready(), modes=NO_STATEMENT)
dialogue("named_outlives_a_rollback", ask("BEGIN"), send(parse("SELECT 1", "s"), SYNC), ready(), ask("ROLLBACK"), send(bind(name="s"), execute(), SYNC), ready(), modes=NO_STATEMENT)
dialogue("named_types", send(parse("SELECT $1, $2", "s", [23, 25]), parse("SELECT $1, $2", "t", [25, 23]), describe_statement("s"), describe_statement("t"), bind(["1", "2"], name="s"), execute(), bind(["x", "2"], name="t"), execute(), SYNC), ready())
dialogue("named_long_name", send(parse("SELECT 1", "s" * 63), bind(name="s" * 63), execute(), parse("SELECT 2", "s" * 70), SYNC), ready(), send(bind(name="s" * 80), execute(), close_statement("s" * 64), bind(name="s" * 63), SYNC), ready(), compare="sqlstate")
dialogue("named_portals_of_it", ask("BEGIN"), send(parse("SELECT g FROM generate_series(1, 4) g", "s"), bind(name="s", portal="p"), bind(name="s", portal="q"), execute("p", 2), execute("q", 1), close_statement("s"), execute("p", 2), SYNC), ready(),
    send(parse("SELECT g FROM generate_series(1, 4) g", "s"), execute("q", 2), SYNC), ready(), ask("COMMIT"), modes=NO_STATEMENT)
dialogue("named_empty", send(parse("", "s"), describe_statement("s"), bind(name="s"), execute(), SYNC), ready())
dialogue("named_malformed", send(message(b"P", b"s\0SELECT 1"), SYNC), ready(), send(message(b"P", b"s\0SELECT 1\0\0\1\0\0"), SYNC), ready(), send(message(b"P", b"s\0SELECT 1\0\0\0extra"), SYNC), ready(), send(bind(name="s"), SYNC), ready(), compare="sqlstate")
dialogue("named_large", send(parse("SELECT length('%s')" % ("x" * 300000), "s"), SYNC), ready(), send(bind(name="s"), execute(), SYNC), ready())
dialogue("named_deallocate_all", send(parse("SELECT 1", "s"), parse("SELECT 2"), SYNC), ready(), ask("DEALLOCATE ALL"), send(bind(name="s"), SYNC), ready(), send(parse("SELECT 3", "s"), bind(name="s"), execute(), SYNC), ready(), compare="text")
dialogue("named_deallocate_all_extended", send(parse("SELECT 1", "s"), extended("DEALLOCATE ALL"), parse("SELECT 2", "s"), bind(name="s"), execute(), SYNC), ready(), send(bind(name="s"), execute(), SYNC), ready(), compare="text")
dialogue("named_discard_all", send(parse("SELECT 1", "s"), SYNC), ready(), ask("DISCARD ALL"), send(bind(name="s"), SYNC), ready(), send(parse("SELECT 3", "s"), bind(name="s"), execute(), SYNC), ready(), compare="text")
dialogue("named_deallocate", send(parse("SELECT 1", "s"), parse("SELECT 2", "t"), SYNC), ready(), ask("DEALLOCATE s"), send(bind(name="s"), SYNC), ready(), send(bind(name="t"), execute(), SYNC), ready(), ask("/* c */ deallocate PREPARE \"t\";"),
    send(bind(name="t"), SYNC), ready(), send(parse("SELECT 3", "s"), bind(name="s"), execute(), SYNC), ready())
dialogue("named_deallocate_unknown", ask("DEALLOCATE nobody", "DEALLOCATE S", "DEALLOCATE"), send(parse("SELECT 1", "S"), SYNC), ready(), ask("DEALLOCATE S", "DEALLOCATE \"S\"", "DEALLOCATE \"S\""))
dialogue("named_deallocate_like_ours", ask("DEALLOCATE pgring_", "DEALLOCATE pgring_" + 32 * "0", "DEALLOCATE \"pgring_\"\"\""), compare="sqlstate")
dialogue("named_deallocate_extended", send(parse("SELECT 1", "s"), parse("SELECT 2", "t"), extended("DEALLOCATE s"), extended("DEALLOCATE t"), SYNC), ready(), send(bind(name="s"), SYNC), ready(), send(bind(name="t"), SYNC), ready(),
    send(extended("DEALLOCATE s"), SYNC), ready())
dialogue("named_deallocate_skipped", send(parse("SELECT 1", "s"), SYNC), ready(), send(extended("SELECT 1/0"), query("DEALLOCATE s"), extended("DEALLOCATE s"), SYNC), ready(), send(bind(name="s"), execute(), SYNC), ready())
dialogue("named_deallocate_in_a_failed_transaction", send(parse("SELECT 1", "s"), SYNC), ready(), ask("BEGIN", "SELECT 1/0", "DEALLOCATE s"), send(extended("DEALLOCATE s"), SYNC), ready(), ask("ROLLBACK"), send(bind(name="s"), execute(), SYNC), ready(),
    modes=NO_STATEMENT)
dialogue("named_after_a_change_of_the_table", ask("CREATE TABLE t AS SELECT 1 AS a"), send(parse("SELECT * FROM t", "s"), bind(name="s"), execute(), SYNC), ready(), ask("ALTER TABLE t ADD b text"), send(parse("SELECT * FROM t", "s2"), bind(name="s2"), execute(), SYNC), ready(),
    ask("DROP TABLE t"), send(parse("SELECT * FROM t", "s3"), SYNC), ready(), send(bind(name="s2"), execute(), SYNC), ready())
dialogue("unnamed_destroyed_by_a_query", send(parse("SELECT 1"), SYNC), ready(), ask("SELECT 2"), send(bind(), SYNC), ready(), compare="text")
dialogue("unnamed_parse_fails", send(parse("SELECT 1"), SYNC), ready(), send(parse("SELEC"), SYNC), ready(), send(bind(), SYNC), ready(), compare="text")
dialogue("unnamed_parse_fails_and_others_are_skipped", send(parse("SELECT 1"), SYNC), ready(), send(parse("SELEC"), parse("SELECT 2"), parse("SELECT 3"), SYNC), ready(), send(bind(), SYNC), ready(), compare="text")
dialogue("unnamed_parse_skipped", send(parse("SELECT 1"), SYNC), ready(), send(bind(name="nobody"), parse("SELECT 2"), SYNC), ready(), send(bind(), execute(), SYNC), ready())
dialogue("unnamed_closed", send(parse("SELECT 1"), SYNC), ready(), send(close_statement(), SYNC), ready(), send(bind(), SYNC), ready(), compare="text")

# ---- what only a session keeps -------------------------------------------------------------------------------------

dialogue("named_statement", send(parse("SELECT $1::int + 1", "s"), describe_statement("s"), SYNC), ready(), send(bind(["1"], name="s"), execute(), SYNC), ready(), send(bind(["2"], name="s"), execute(), close_statement("s"), SYNC), ready(),
    send(bind(["3"], name="s"), execute(), SYNC), ready())
dialogue("named_statement_twice", send(parse("SELECT 1", "s"), SYNC), ready(), send(parse("SELECT 2", "s"), SYNC), ready(), send(bind(name="s"), execute(), SYNC), ready(), compare="text")
dialogue("named_statement_survives_error", send(parse("SELECT 1", "s"), extended("SELECT 1/0"), SYNC), ready(), send(bind(name="s"), execute(), SYNC), ready())
dialogue("named_statement_and_sql", ask("PREPARE p (int) AS SELECT $1 * 2", "EXECUTE p (21)"), send(bind(["4"], name="p"), execute(), SYNC), ready(), send(parse("SELECT 'q'", "q"), SYNC), ready(), ask("EXECUTE q", "DEALLOCATE p", "EXECUTE p (1)",
    "DEALLOCATE ALL", "EXECUTE q"), modes=ONLY_SESSION)
dialogue("named_statement_result_type_changes", ask("CREATE TEMP TABLE t AS SELECT 1 AS a"), send(parse("SELECT * FROM t", "s"), bind(name="s"), execute(), SYNC), ready(), ask("ALTER TABLE t ALTER a TYPE text"), send(bind(name="s"), execute(), SYNC), ready(),
    ask("DROP TABLE t"), modes=ONLY_SESSION)
dialogue("named_100_statements", send(*(parse("SELECT %d" % i, "s%d" % i) for i in range(100)), SYNC), ready(), send(*(bind(name="s%d" % i) + execute() for i in range(99, -1, -1)), SYNC), ready())
dialogue("discard_all", ask("CREATE TEMP TABLE t (a int)", "SET work_mem = '77kB'", "DISCARD ALL", "SHOW work_mem", "SELECT * FROM t", "DISCARD PLANS", "DISCARD TEMP"), modes=ONLY_SESSION)
dialogue("temp_table_stays", ask("CREATE TEMP TABLE t (a int)", "INSERT INTO t VALUES (1)", "SELECT * FROM t"), modes=ONLY_SESSION)
dialogue("set_stays", ask("SET work_mem = '77kB'", "SHOW work_mem", "SET search_path = pg_catalog", "SHOW search_path", "RESET ALL", "SHOW work_mem"), modes=ONLY_SESSION)
dialogue("set_reported_parameters", ask("SET application_name = 'dialogue'", "SET DateStyle = 'SQL, DMY'", "SELECT '2020-01-02'::date", "SET TimeZone = 'Asia/Tokyo'", "SET IntervalStyle = 'iso_8601'", "SET client_encoding = 'LATIN1'",
    "SET standard_conforming_strings = off", "SHOW application_name", "SHOW client_encoding", "SHOW TimeZone"), modes=ONLY_SESSION)
dialogue("set_rolled_back", ask("BEGIN", "SET DateStyle = 'SQL, DMY'", "ROLLBACK", "SHOW DateStyle"), modes=NO_STATEMENT)
dialogue("set_invalid", ask("SET TimeZone = 'Nowhere/Nothing'", "SET nonsense = 1", "SET work_mem = 'much'"), modes=ONLY_SESSION)
dialogue("client_encoding_latin1", ask("SET client_encoding = 'LATIN1'", b"SELECT '\xe4\xf6\xfc', length('\xe4')", "SELECT U&'\\65E5'"), modes=ONLY_SESSION)
dialogue("cursor_with_hold", ask("BEGIN", "DECLARE h CURSOR WITH HOLD FOR SELECT g FROM generate_series(1, 5) g", "FETCH 2 FROM h", "COMMIT", "FETCH 2 FROM h", "CLOSE h"), modes=ONLY_SESSION)
dialogue("sequences_currval", ask("SELECT currval('lines_id_seq')", "SELECT nextval('lines_id_seq')", "SELECT currval('lines_id_seq'), lastval()"), modes=ONLY_SESSION)
dialogue("notify_to_oneself", ask("LISTEN here", "NOTIFY here, 'payload'", "NOTIFY here", "SELECT pg_notify('here', repeat('x', 7000))", "BEGIN", "NOTIFY here, 'at commit'", "SELECT 1", "COMMIT", "BEGIN", "NOTIFY here, 'never'", "ROLLBACK",
    "UNLISTEN here", "NOTIFY here, 'nobody'", "LISTEN a; LISTEN b; NOTIFY b, '1'; NOTIFY a, '2'", "UNLISTEN *"), modes=ONLY_SESSION)
dialogue("notify_in_a_pipeline", ask("LISTEN here"), send(extended("NOTIFY here, 'a'"), SYNC, extended("SELECT 1"), extended("NOTIFY here, 'b'"), SYNC, query("SELECT 2")), ready(3), modes=ONLY_SESSION)
dialogue("role_and_authorization", ask("SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT", "SELECT current_user, session_user"), modes=ONLY_SESSION)

# ---- COPY OUT ------------------------------------------------------------------------------------------------------

dialogue("copy_out", ask("COPY items TO STDOUT"), split=True)
dialogue("copy_out_formats", ask("COPY items TO STDOUT (FORMAT csv, HEADER)", "COPY (SELECT id, name FROM items ORDER BY id) TO STDOUT (FORMAT binary)"))
dialogue("copy_out_nothing", ask("COPY pairs TO STDOUT", "COPY pairs TO STDOUT (FORMAT binary)"))
dialogue("copy_out_error_before", ask("COPY missing TO STDOUT", "COPY (SELECT 1/0) TO STDOUT", "SELECT 1"))
dialogue("copy_out_error_in_the_middle", ask("COPY (SELECT 1/(500-g) FROM generate_series(1, 1000) g) TO STDOUT", "SELECT 1"))
dialogue("copy_out_two_in_a_string", ask("COPY items TO STDOUT; COPY parents TO STDOUT; SELECT 1; COPY (SELECT 1/0) TO STDOUT; SELECT 2", "SELECT 3"))
dialogue("copy_out_big", ask("COPY (SELECT g, repeat('x', 90) FROM generate_series(1, 100000) g) TO STDOUT"), bulk=True)
dialogue("copy_out_big_rows", ask("COPY (SELECT g, repeat('x', 500000) FROM generate_series(1, 20) g) TO STDOUT (FORMAT binary)"), bulk=True)
dialogue("copy_out_extended", send(parse("COPY items TO STDOUT"), bind(), describe_portal(), execute(), SYNC), ready())
dialogue("copy_out_in_a_pipeline", send(extended("SELECT 1"), extended("COPY items TO STDOUT"), extended("SELECT 2"), SYNC, extended("COPY (SELECT 1/0) TO STDOUT"), extended("SELECT 3"), SYNC, query("COPY parents TO STDOUT")), ready(3))
dialogue("copy_out_in_transaction", ask("BEGIN", "INSERT INTO lines (line) VALUES ('x')", "COPY lines TO STDOUT", "COPY (SELECT 1/0) TO STDOUT", "COPY lines TO STDOUT", "ROLLBACK"), modes=NO_STATEMENT)
dialogue("copy_out_client_talks_meanwhile", send(query("COPY (SELECT g FROM generate_series(1, 5000) g) TO STDOUT"), FLUSH, SYNC, COPY_DONE, copy_data("ignored"), query("SELECT 1")), ready(3), bulk=True)

# ---- COPY IN -------------------------------------------------------------------------------------------------------

ROWS = "1\tone\n2\ttwo\n3\t\\N\n"
BINARY_ROWS = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0) + struct.pack("!hii", 2, 4, 7) + struct.pack("!i", 3) + b"bin" + struct.pack("!h", -1)

dialogue("copy_in", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data(ROWS), COPY_DONE), ready(), ask("SELECT * FROM pairs"))
dialogue("copy_in_at_once", send(query("COPY pairs FROM STDIN"), copy_data(ROWS), COPY_DONE, query("SELECT * FROM pairs")), ready(2))
dialogue("copy_in_csv", send(query("COPY pairs FROM STDIN (FORMAT csv, HEADER)")), until(b"G"), send(copy_data("a,b\n1,\"x,\ny\"\n"), COPY_DONE), ready())
dialogue("copy_in_binary", send(query("COPY pairs FROM STDIN (FORMAT binary)")), until(b"G"), send(copy_data(BINARY_ROWS), COPY_DONE), ready(), ask("SELECT * FROM pairs"))
dialogue("copy_in_binary_wrong_signature", send(query("COPY pairs FROM STDIN (FORMAT binary)")), until(b"G"), send(copy_data("not the signature at all"), COPY_DONE), ready(), ask("SELECT 1"))
dialogue("copy_in_nothing", send(query("COPY pairs FROM STDIN")), until(b"G"), send(COPY_DONE), ready(), split=True)
dialogue("copy_in_empty_messages", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data("") * 5, copy_data("1\tx\n"), copy_data("") * 5, COPY_DONE), ready())
dialogue("copy_in_cut_anywhere", send(query("COPY pairs FROM STDIN")), until(b"G"), send(*(copy_data(c) for c in ROWS), COPY_DONE), ready())
dialogue("copy_in_end_marker", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data("1\tx\n\\.\n"), copy_data("2\ty\n"), COPY_DONE), ready())
dialogue("copy_in_fail", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data(ROWS), copy_fail("the client has no more")), ready(), ask("SELECT count(*) FROM pairs"), split=True)
dialogue("copy_in_bad_row", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data("1\tx\nno number\ty\n"), COPY_DONE), ready(), ask("SELECT count(*) FROM pairs"))
dialogue("copy_in_bad_row_client_goes_on", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data("no number\ty\n")), until(b"E"), send(*(copy_data("%d\tmore\n" % i) for i in range(500)), COPY_DONE), ready(),
    ask("SELECT count(*) FROM pairs"))
dialogue("copy_in_bad_row_then_copy_fail", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data("no number\ty\n")), ready(), send(copy_data("1\tx\n"), copy_fail("late")), ask("SELECT count(*) FROM pairs"))
dialogue("copy_in_bad_row_then_query_later", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data("no number\ty\n")), ready(), send(copy_data("1\tx\n") * 3), send(COPY_DONE), ask("SELECT 1", "SELECT 2"))
dialogue("copy_in_bad_row_at_once", send(query("COPY pairs FROM STDIN"), copy_data("1\tx\n"), copy_data("bad\n"), copy_data("2\ty\n") * 50, COPY_DONE, query("SELECT count(*) FROM pairs")), ready(2))
dialogue("copy_in_no_such_table", send(query("COPY missing FROM STDIN"), copy_data(ROWS), COPY_DONE, query("SELECT 1")), ready(2))
dialogue("copy_in_no_such_table_data_comes_later", send(query("COPY missing FROM STDIN")), ready(), send(copy_data(ROWS), COPY_DONE), ask("SELECT 1"))
dialogue("copy_in_constraint_at_the_end", send(query("COPY items (id, name) FROM STDIN")), until(b"G"), send(copy_data("8\teight\n1\tagain\n"), COPY_DONE), ready(), ask("SELECT count(*) FROM items"))
dialogue("copy_in_deferred_constraint", send(query("COPY children FROM STDIN")), until(b"G"), send(copy_data("1\t99\n"), COPY_DONE), ready(), ask("SELECT count(*) FROM children"))
dialogue("copy_in_sync_and_flush_inside", send(query("COPY pairs FROM STDIN")), until(b"G"), send(SYNC, copy_data("1\tx\n"), FLUSH, SYNC, FLUSH, copy_data("2\ty\n"), SYNC, COPY_DONE), ready(), ask("SELECT count(*) FROM pairs"))
dialogue("copy_in_then_statements", send(query("COPY pairs FROM STDIN; SELECT count(*) FROM pairs; SELECT 'x'")), until(b"G"), send(copy_data(ROWS), COPY_DONE), ready())
dialogue("copy_in_two_in_a_string", send(query("COPY pairs FROM STDIN; COPY parents FROM STDIN; SELECT 1")), until(b"G"), send(copy_data(ROWS), COPY_DONE), until(b"G"), send(copy_data("11\n12\n"), COPY_DONE), ready())
dialogue("copy_in_two_in_a_string_first_fails", send(query("COPY pairs FROM STDIN; COPY parents FROM STDIN; SELECT 1"), copy_data(ROWS), copy_fail("no"), copy_data("11\n"), COPY_DONE, query("SELECT 2")), ready(2))
dialogue("copy_in_two_in_a_string_second_fails", send(query("COPY pairs FROM STDIN; COPY parents FROM STDIN; SELECT 1"), copy_data(ROWS), COPY_DONE, copy_data("bad\n"), copy_data("11\n"), COPY_DONE, query("SELECT count(*) FROM pairs")), ready(2))
dialogue("copy_in_and_out_in_a_string", send(query("COPY pairs FROM STDIN; COPY pairs TO STDOUT; COPY pairs FROM STDIN")), until(b"G"), send(copy_data(ROWS), COPY_DONE), until(b"G"), send(copy_data(ROWS), COPY_DONE), ready())
dialogue("copy_in_in_transaction", ask("BEGIN"), send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data(ROWS), COPY_DONE), ready(), ask("SELECT count(*) FROM pairs", "ROLLBACK", "SELECT count(*) FROM pairs"), modes=NO_STATEMENT)
dialogue("copy_in_fails_in_transaction", ask("BEGIN"), send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data("bad\n"), copy_data(ROWS), COPY_DONE), ready(), ask("SELECT 1", "ROLLBACK"), modes=NO_STATEMENT)
dialogue("copy_in_extended", send(parse("COPY pairs FROM STDIN"), bind(), describe_portal(), execute(), FLUSH), until(b"G"), send(copy_data(ROWS), COPY_DONE, SYNC), ready(), ask("SELECT count(*) FROM pairs"))
dialogue("copy_in_extended_sync_before_data", send(parse("COPY pairs FROM STDIN"), bind(), describe_portal(), execute(), SYNC), until(b"G"), send(copy_data(ROWS), COPY_DONE, SYNC), ready(), ask("SELECT count(*) FROM pairs"))
dialogue("copy_in_extended_at_once", send(parse("COPY pairs FROM STDIN"), bind(), execute(), SYNC, copy_data(ROWS), COPY_DONE, SYNC, query("SELECT count(*) FROM pairs")), ready(2), split=False)
dialogue("copy_in_extended_fail", send(parse("COPY pairs FROM STDIN"), bind(), execute(), SYNC), until(b"G"), send(copy_data(ROWS), copy_fail("no more"), SYNC), ready(), ask("SELECT count(*) FROM pairs"))
dialogue("copy_in_extended_bad_row", send(parse("COPY pairs FROM STDIN"), bind(), execute(), SYNC), until(b"G"), send(copy_data("bad\n")), until(b"E"), send(copy_data(ROWS) * 20, COPY_DONE, SYNC), ready(), ask("SELECT count(*) FROM pairs"))
dialogue("copy_in_extended_bad_row_at_once", send(parse("COPY pairs FROM STDIN"), bind(), execute(), SYNC, copy_data("bad\n"), copy_data(ROWS) * 20, COPY_DONE, SYNC, query("SELECT count(*) FROM pairs")), ready(2))
dialogue("copy_in_extended_bad_row_query_skipped", send(parse("COPY pairs FROM STDIN"), bind(), execute(), SYNC), until(b"G"), send(copy_data("bad\n"), query("SELECT 'skipped'"), copy_data("1\tx\n"), SYNC), ready(), ask("SELECT 'counted'"), compare="refusal")
dialogue("copy_in_extended_refused_at_parse", send(parse("COPY missing FROM STDIN"), bind(), execute(), SYNC, copy_data(ROWS), COPY_DONE, SYNC), ready(2), ask("SELECT 1"))
dialogue("copy_in_in_a_pipeline", send(extended("SELECT 1"), parse("COPY pairs FROM STDIN"), bind(), execute(), copy_data(ROWS), COPY_DONE, extended("SELECT count(*) FROM pairs"), SYNC, extended("SELECT 2"), SYNC), ready(2))
dialogue("copy_in_pipeline_of_two", send(parse("COPY pairs FROM STDIN"), bind(), execute(), copy_data(ROWS), COPY_DONE, bind(), execute(), copy_data(ROWS), COPY_DONE, SYNC, query("SELECT count(*) FROM pairs")), ready(2))
dialogue("copy_in_big", send(query("COPY pairs FROM STDIN")), until(b"G"), send(*(copy_data("".join("%d\t%s\n" % (i, "x" * 80) for i in range(k, k + 500))) for k in range(0, 50000, 500)), COPY_DONE), ready(), ask("SELECT count(*), sum(a) FROM pairs"))
dialogue("copy_in_one_message_of_8_mb", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data("1\t" + "y" * (8 << 20) + "\n"), COPY_DONE), ready(), ask("SELECT a, length(b) FROM pairs"))
dialogue("copy_in_many_small_messages", send(query("COPY pairs FROM STDIN")), until(b"G"), send(*(copy_data("%d\tz\n" % i) for i in range(20000)), COPY_DONE), ready(), ask("SELECT count(*), sum(a) FROM pairs"))
dialogue("copy_in_bad_row_far_in", send(query("COPY pairs FROM STDIN")), until(b"G"), send(*(copy_data("%s\tz\n" % (i if i != 9000 else "bad")) for i in range(20000)), COPY_DONE, query("SELECT count(*) FROM pairs")), ready(2))
dialogue("copy_messages_while_idle", send(copy_data("x"), COPY_DONE, copy_fail("x"), copy_data("y"), query("SELECT 1")), ready(), send(COPY_DONE, SYNC), ready(), split=True)
dialogue("copy_messages_inside_a_batch", send(parse("SELECT 1"), copy_data("x"), bind(), COPY_DONE, execute(), SYNC), ready())
dialogue("copy_in_by_query_message", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data(ROWS), query("SELECT 1")), end(), compare="violation", pieces=False)

# ---- function calls ------------------------------------------------------------------------------------------------

INT4PL, PG_TYPEOF, TEXTCAT, BACKEND_PID = 177, 1619, 1258, 2026
dialogue("function_call", send(function_call(INT4PL, [struct.pack("!i", 40), struct.pack("!i", 2)])), ready(), split=True)
dialogue("function_call_text", send(function_call(INT4PL, [b"40", b"2"], (0,), 0), function_call(TEXTCAT, [b"foo", b"bar"], (), 0)), ready(2))
dialogue("function_call_null", send(function_call(INT4PL, [struct.pack("!i", 40), None])), ready())
dialogue("function_call_errors", send(function_call(999999, []), function_call(INT4PL, [struct.pack("!i", 1)]), function_call(INT4PL, [b"bad", b"2"], (0,), 0), query("SELECT 1")), ready(4))
dialogue("function_call_pipelined", send(*(function_call(INT4PL, [struct.pack("!i", i), struct.pack("!i", 1)]) for i in range(50))), ready(50))
dialogue("function_call_in_transaction", ask("BEGIN"), send(function_call(INT4PL, [b"1", b"2"], (0,), 0)), ready(), ask("SELECT 1/0"), send(function_call(INT4PL, [b"1", b"2"], (0,), 0)), ready(), ask("ROLLBACK"), modes=NO_STATEMENT)
dialogue("function_call_in_a_batch", send(parse("SELECT 1"), bind(), function_call(INT4PL, [b"1", b"2"], (0,), 0), execute(), SYNC), ready(2))
dialogue("function_call_truncated", send(message(b"F", struct.pack("!Ih", INT4PL, 1))), ready(), ask("SELECT 1"), compare="refusal")

# ---- cancel --------------------------------------------------------------------------------------------------------

dialogue("cancel_simple", send(query("SELECT 'cancel_simple', pg_sleep(60)")), active("cancel_simple"), cancel(), ready(), ask("SELECT 1"))
dialogue("cancel_extended", send(extended("SELECT 'cancel_extended', pg_sleep(60)"), extended("SELECT 1"), SYNC), active("cancel_extended"), cancel(), ready(), ask("SELECT 1"))
dialogue("cancel_in_transaction", ask("BEGIN"), send(query("SELECT 'cancel_in_transaction', pg_sleep(60)")), active("cancel_in_transaction"), cancel(), ready(), ask("SELECT 1", "ROLLBACK", "SELECT 2"), modes=NO_STATEMENT)
dialogue("cancel_in_a_pipeline", send(query("SELECT 'cancel_in_a_pipeline', pg_sleep(60)"), query(OUTLIVES_CANCEL), query("SELECT 3")), active("cancel_in_a_pipeline"), cancel(), ready(3))
dialogue("cancel_copy_out", send(query("COPY (SELECT 'cancel_copy_out', pg_sleep(60)) TO STDOUT")), active("cancel_copy_out"), cancel(), ready(), ask("SELECT 1"))
dialogue("cancel_while_idle", ask("SELECT 1"), cancel(), ask("SELECT 2"))
dialogue("statement_timeout", ask("BEGIN", "SET LOCAL statement_timeout = 200", "SELECT pg_sleep(60)", "ROLLBACK", "SELECT 1"), modes=NO_STATEMENT)

# ---- the end -------------------------------------------------------------------------------------------------------

dialogue("terminate", ask("SELECT 1"), send(TERMINATE), end())
dialogue("terminate_at_once", send(TERMINATE), end())
dialogue("terminate_in_transaction", ask("BEGIN", "INSERT INTO lines (line) VALUES ('lost')"), send(TERMINATE), end(), modes=NO_STATEMENT)
dialogue("terminate_in_failed_transaction", ask("BEGIN", "SELECT 1/0"), send(TERMINATE), end(), modes=NO_STATEMENT)
dialogue("terminate_behind_queries", send(query("INSERT INTO lines (line) VALUES ('kept')"), query("SELECT 1"), TERMINATE), end())
dialogue("terminate_behind_a_batch", send(extended("SELECT 1"), SYNC, TERMINATE), end())
dialogue("terminate_without_sync", send(extended("INSERT INTO lines (line) VALUES ('lost')"), FLUSH), until(b"C"), send(TERMINATE), end())
dialogue("terminate_after_error_without_sync", send(parse("SELEC"), FLUSH), until(b"E"), send(TERMINATE), end())
dialogue("server_ends_the_session", send(query("SELECT 1; SELECT pg_terminate_backend(pg_backend_pid()) IS NULL")), end(), compare="sqlstate", modes=ONLY_SESSION)

# ---- malformed messages inside whole frames --------------------------------------------------------------------------

dialogue("malformed_query_without_end", send(message(b"Q", b"SELECT 1")), ready(), ask("SELECT 2"), compare="refusal")
dialogue("malformed_query_empty", send(message(b"Q", b"")), ready(), ask("SELECT 2"), compare="refusal")
dialogue("malformed_query_null_byte", send(message(b"Q", b"SELECT 1\0; SELECT 2\0")), ready(), ask("SELECT 3"), compare="refusal")
dialogue("malformed_parse", send(message(b"P", text("") + text("SELECT 1")), SYNC), ready(), send(message(b"P", b"x"), SYNC), ready(), send(message(b"P", b""), SYNC), ready(), send(message(b"P", text("") + text("SELECT 1") + struct.pack("!h", 5)), SYNC), ready(),
    ask("SELECT 2"), compare="refusal")
dialogue("malformed_parse_trailing", send(message(b"P", text("") + text("SELECT 1") + struct.pack("!h", 0) + b"rest"), SYNC), ready(), ask("SELECT 2"), compare="refusal")
dialogue("malformed_bind", *[step for body in (b"", b"\0", b"\0\0", b"\0\0\0\0\0\5", text("") * 2 + struct.pack("!hhi", 0, 1, 1000), text("") * 2 + struct.pack("!hhi", 0, 1, -2), text("") * 2 + struct.pack("!hhhh", 0, 0, 0, 7))
    for step in (send(parse("SELECT $1::text"), message(b"B", body), SYNC), ready())], ask("SELECT 2"), compare="refusal")
dialogue("malformed_describe", send(message(b"D", b"X\0"), SYNC), ready(), send(message(b"D", b""), SYNC), ready(), send(message(b"D", b"P"), SYNC), ready(), send(message(b"D", b"P\0\0"), SYNC), ready(), ask("SELECT 1"), compare="refusal")
dialogue("malformed_close", send(message(b"C", b"X\0"), SYNC), ready(), send(message(b"C", b""), SYNC), ready(), send(message(b"C", b"S"), SYNC), ready(), ask("SELECT 1"), compare="refusal")
dialogue("malformed_execute", send(message(b"E", b""), SYNC), ready(), send(message(b"E", b"\0"), SYNC), ready(), send(message(b"E", b"\0\0\0"), SYNC), ready(), ask("SELECT 1"), compare="refusal")
dialogue("malformed_sync", send(message(b"S", b"x"), query("SELECT 1")), ready(2), compare="refusal")
dialogue("malformed_in_a_pipeline", send(extended("SELECT 1"), message(b"D", b"X\0"), extended("SELECT 2"), SYNC, query("SELECT 3")), ready(2), compare="refusal")

# ---- violations: the frame itself is wrong, and the connection ends --------------------------------------------------

for letter in b"!\0aZRp\xff":
    dialogue("violation_type_%02x" % letter, ask("SELECT 1"), send(message(bytes([letter]), b"body")), end(), compare="violation", pieces=False)
for length in (-1, 0, 3, -(1 << 31)):
    dialogue("violation_length_%d" % length, ask("SELECT 1"), send(b"Q" + struct.pack("!i", length) + b"SELECT 2\0"), end(), compare="violation", pieces=False)
dialogue("violation_length_2_gb", ask("SELECT 1"), send(b"Q" + struct.pack("!i", (1 << 31) - 1) + b"SELECT 2\0"), end(), compare="violation", pieces=False)
dialogue("violation_sync_of_20000_bytes", send(message(b"S", b"x" * 20000)), end(), compare="violation", pieces=False)
dialogue("violation_in_transaction", ask("BEGIN", "INSERT INTO lines (line) VALUES ('lost')"), send(message(b"!", b"")), end(), compare="violation", pieces=False, modes=NO_STATEMENT)
dialogue("violation_in_copy_in", send(query("COPY pairs FROM STDIN")), until(b"G"), send(copy_data(ROWS), message(b"!", b"")), end(), compare="violation", pieces=False)
dialogue("violation_inside_a_batch", send(parse("SELECT 1"), bind(), b"E" + struct.pack("!i", 2)), end(), compare="violation", pieces=False)
dialogue("violation_startup_again", ask("SELECT 1"), send(struct.pack("!ii", 8, 80877103)), end(), compare="violation", pieces=False)
