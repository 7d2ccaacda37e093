"""Scripts of whole sessions. Each is played once on PostgreSQL itself and once through the pooler, where between any two of its
steps hostile neighbours use every server of a small pool and change whatever a session can change. What the client gets must be
the same, message by message.
"""
from wireclient import (SYNC, bind, close_portal, close_statement, copy_data, copy_fail, describe_portal, describe_statement, execute,
                        function_call, message, parse, query)

COPY_DONE = message(b"c")

# By the superuser, once.
FIXTURE = """
CREATE SCHEMA IF NOT EXISTS aside;
CREATE TABLE IF NOT EXISTS public.place (name text); CREATE TABLE IF NOT EXISTS aside.place (name text);
TRUNCATE public.place, aside.place;
INSERT INTO public.place VALUES ('public'); INSERT INTO aside.place VALUES ('aside');
CREATE TABLE IF NOT EXISTS public.written (a int);
CREATE SEQUENCE IF NOT EXISTS public.counter;
CREATE OR REPLACE FUNCTION public.sets(name text, value text) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN PERFORM set_config(name, value, false); RETURN value; END$$;
GRANT USAGE, CREATE ON SCHEMA public, aside TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA public, aside TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;
GRANT other TO wire; GRANT sam TO wire;
"""
BEFORE_EACH = "TRUNCATE public.written; ALTER SEQUENCE public.counter RESTART"

# What neighbours say, each in a session of its own; those of the second list leave right after.
HOSTILE = [
    [query("SET timezone = 'Asia/Tokyo'; SET datestyle = 'SQL, DMY'; SET search_path = aside; SET work_mem = '99MB'; "
           "SET application_name = 'hostile'; SET my.tenant = 'hostile'; SET role = other; SET statement_timeout = '59s'; "
           "SET extra_float_digits = -5; SET intervalstyle = sql_standard; SET bytea_output = escape")],
    [query("SELECT set_config('timezone', 'America/Lima', false), set_config('my.tenant', 'other hostile', false), "
           "set_config('search_path', 'pg_catalog', false), set_config('client_min_messages', 'error', false)"),
     query("BEGIN"), query("SET lock_timeout = '58s'"), query("SET default_transaction_read_only = on"), query("COMMIT"),
     parse("SELECT 'hostile'") + bind() + execute() + SYNC],
    [query("SET client_encoding = 'LATIN1'; SET standard_conforming_strings = off; SET datestyle = German"),
     query("SELECT nextval('public.counter')"), query("SELECT 1/0"), query("BEGIN; SELECT 1/0"), query("ROLLBACK")],
]
LEAVING = [
    [query("CREATE TEMP TABLE place (hostile int); CREATE TEMP TABLE t (hostile int); PREPARE s AS SELECT 'hostile'; LISTEN hostile; "
           "SELECT pg_advisory_lock(666); BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 'hostile'; COMMIT")],
    [query("BEGIN; SET search_path = aside; SET my.tenant = 'never'; DECLARE c CURSOR FOR SELECT 'hostile'")],
    [query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY; SELECT setseed(0.1)")],
]


class Neighbours:
    """Two sessions that stay, and one at a time that leaves."""

    def __init__(self, connect):
        self.connect, self.turn = connect, 0
        self.staying = [connect() for _ in range(2)]

    def act(self, leave=True):
        """Uses every server that can be had, and changes it."""
        self.turn += 1
        for number, wire in enumerate(self.staying):
            words = HOSTILE[(self.turn + number) % len(HOSTILE)]
            for word in words:
                wire.send(word)
        for number, wire in enumerate(self.staying):
            wire.read_ready(len(HOSTILE[(self.turn + number) % len(HOSTILE)]))
        if not leave:
            return
        leaving = self.connect()
        for word in LEAVING[self.turn % len(LEAVING)]:
            leaving.send(word)
            leaving.read_ready()
        leaving.drop()

    def finish(self):
        for wire in self.staying:
            wire.close()


class Script:
    """steps: str (a simple query), bytes (messages up to and with one that is answered by ReadyForQuery).
    startup: parameters of the startup packet. differs: why it may not be the same (it is played all the same).
    timeouts: how many statements must be timed out, of a script in which a slow machine may time out others, too: then it is played again."""

    def __init__(self, name, steps, startup, differs, timeouts):
        self.name, self.startup, self.differs, self.timeouts = name, list(startup.items()), differs, timeouts
        self.steps = [query(step) if isinstance(step, str) else step for step in steps]


SCRIPTS = {}


def script(name, *steps, startup={}, differs=None, timeouts=None):
    assert name not in SCRIPTS, name
    SCRIPTS[name] = Script(name, steps, startup, differs, timeouts)


def ext(sql, *values):
    return parse(sql) + bind(values) + describe_portal() + execute() + SYNC


PLACE = "SELECT name FROM place"
TENANT = "SELECT current_setting('my.tenant', true)"
SHOWS = ("SHOW timezone", "SHOW datestyle", "SHOW search_path", "SHOW work_mem", "SHOW application_name", "SHOW statement_timeout",
         "SHOW lock_timeout", "SHOW role", "SHOW extra_float_digits", "SHOW client_encoding", "SHOW standard_conforming_strings",
         "SHOW default_transaction_isolation", "SHOW default_transaction_read_only", "SHOW client_min_messages", "SHOW intervalstyle",
         "SHOW bytea_output")

# ---- variables ----

script("nothing_is_seen_of_neighbours", *SHOWS, PLACE, "SELECT * FROM place")
for _name, _sql, _show in (
        ("string", "SET work_mem = '7MB'", "SHOW work_mem"), ("number", "SET work_mem = 7777", "SHOW work_mem"),
        ("to", "SET work_mem TO '7MB'", "SHOW work_mem"), ("session", "SET SESSION work_mem TO '7MB'", "SHOW work_mem"),
        ("word", "SET bytea_output TO escape", "SHOW bytea_output"), ("negative", "SET extra_float_digits = -3", "SHOW extra_float_digits"),
        ("bool", "SET enable_seqscan = off", "SHOW enable_seqscan"), ("real", "SET seq_page_cost = 2.25", "SHOW seq_page_cost"),
        ("list", "SET search_path TO aside, public", "SHOW search_path"), ("list_quoted", "SET search_path TO 'aside', \"A b\"", "SHOW search_path"),
        ("list_one_string", "SET search_path = 'aside, public'", "SHOW search_path"), ("schema", "SET SCHEMA 'aside'", "SHOW search_path"),
        ("time_zone", "SET TIME ZONE 'Europe/Vienna'", "SHOW timezone"), ("time_zone_number", "SET TIME ZONE -3.5", "SHOW timezone"),
        ("time_zone_interval", "SET TIME ZONE INTERVAL '+02:15' HOUR TO MINUTE", "SHOW timezone"),
        ("names", "SET NAMES 'LATIN1'", "SHOW client_encoding"), ("xml", "SET XML OPTION DOCUMENT", "SHOW xmloption"),
        ("role", "SET ROLE other", "SELECT current_user, session_user"), ("role_string", "SET ROLE 'other'", "SELECT current_user"),
        ("role_as_variable", "SET role = 'sam'", "SELECT current_user"), ("application", "SET application_name = 'mine'", "SHOW application_name"),
        ("quotes", "SET application_name = 'it''s \"mine\" \\ so'", "SHOW application_name"), ("umlaut", "SET application_name = E'\\u00e4'",
       "SHOW application_name"),
        ("custom", "SET my.tenant = 'mine'", TENANT), ("custom_quoted", "SET \"my\".\"tenant\" = 'mine'", TENANT),
        ("custom_umlaut", "SET my.tenant = 'f\u00fcnf \u9375'", TENANT), ("custom_long", "SET my.tenant = '%s'" % ("x'' \\" * 1000), TENANT),
        ("characteristics", "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SHOW default_transaction_isolation"),
        ("case", "sEt WORK_MEM tO '7MB'", "SHOW work_mem"), ("comment", "/* a /* b */ ; */ -- c\n ; SET/**/work_mem/**/='7MB';;", "SHOW work_mem"),
        ("relative", "SET datestyle = 'German'; SET datestyle = 'YMD'", "SHOW datestyle"),
        ("config", "SELECT set_config('work_mem', '7MB', false)", "SHOW work_mem"),
        ("config_qualified", "SELECT pg_catalog.set_config('my.tenant', 'mine', false)", TENANT),
        ("config_quoted", "SELECT \"set_config\"('my.tenant', 'mine', 'f')", TENANT),
        ("config_unicode", "SELECT U&\"s\\0065t_config\"('my.tenant', 'mine', 'f')", TENANT),
        ("config_in_with", "WITH a AS (SELECT set_config('my.tenant', 'mine', false)) SELECT * FROM a", TENANT),
        ("config_computed", "SELECT set_config('my.' || 'tenant', 'mi' || 'ne', 1 = 2)", "SELECT coalesce(current_setting('work_mem'))"),
        ("in_do", "DO $$BEGIN PERFORM set_config('my.tenant', 'mine', false); SET work_mem = '6MB'; END$$", TENANT),
        ("in_do_plain", "DO $$BEGIN SET work_mem = '6MB'; END$$", "SHOW work_mem")):
    script("set_" + _name, _sql, _show, _show, PLACE, _show)
    script("set_%s_extended" % _name, *([ext(part) for part in _sql.split("; SET")[:1]] if ";" not in _sql else [_sql]), ext(_show), _show)
    script("set_%s_rolled_back" % _name, "BEGIN", _sql, _show, "ROLLBACK", _show, PLACE, "SHOW timezone")
    script("set_%s_committed" % _name, "BEGIN", _sql, "COMMIT", _show, PLACE)
    script("set_%s_and_reset" % _name, _sql, _show, "RESET ALL", "RESET ROLE", _show, _show)
    script("set_%s_and_discarded" % _name, _sql, _show, "DISCARD ALL", _show, _show)
script("set_config_name_computed", "SELECT set_config('my.' || 'tenant', 'mine', false)", TENANT, "SELECT 1", TENANT)
script("set_config_name_from_table", "SELECT set_config(n, 'mine', false) FROM (VALUES ('my.tenant'), ('work_mem')) v(n) WHERE n LIKE 'my%'", TENANT, TENANT)
script("set_config_prepared", "PREPARE s AS SELECT set_config('my.tenant', $1, false)", "EXECUTE s('mine')", TENANT, "DEALLOCATE s", TENANT, "SHOW timezone", TENANT)
script("set_config_called", function_call(2078, [b"my.tenant", b"mine", b"false"], (0,), 0), TENANT, function_call(2078, [b"work_mem", b"3MB", b"f"], (0,), 0),
       "SHOW work_mem", TENANT)
script("advisory_lock_called", function_call(2880, [b"77"], (0,), 0), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
       function_call(2882, [b"77"], (0,), 0), "SELECT 1")
script("set_config_parameters", ext("SELECT set_config($1, $2, $3)", "my.tenant", "bound", "false"), TENANT, ext("SELECT set_config($1, $2, false)", "work_mem",
       "6MB"), "SHOW work_mem", TENANT)
script("set_config_local_parameters", "BEGIN", ext("SELECT set_config($1, $2, true)", "my.tenant", "bound"), TENANT, "COMMIT", "SHOW work_mem")
script("set_config_bound_local", "BEGIN", ext("SELECT set_config($1, $2, $3)", "work_mem", "6MB", "true"), "SHOW work_mem", "COMMIT", "SHOW work_mem")
script("set_many", "SET work_mem = '7MB'; SET datestyle = 'SQL, DMY'; SELECT 1; SET timezone = 'Asia/Tokyo'", "SHOW work_mem", "SHOW datestyle", "SHOW timezone",
       "SELECT now() > '2020-01-01'::timestamptz")
script("set_many_one_fails", "SET work_mem = '7MB'; SET datestyle = 'nonsense'; SET timezone = 'Asia/Tokyo'", "SHOW work_mem", "SHOW datestyle", "SHOW timezone")
script("set_in_string_with_begin", "BEGIN; SET work_mem = '7MB'; COMMIT; SET timezone = 'Asia/Tokyo'", "SHOW work_mem", "SHOW timezone")
script("set_in_string_behind_quotes", "SELECT ';', $$ ; $$, 'it''s'; SET work_mem = '7MB'", "SHOW work_mem")
script("set_in_string_behind_backslash", "SELECT E'\\';', 1; SET work_mem = '7MB'; SELECT 'x'", "SHOW work_mem")
script("set_in_string_behind_rollback", "SET work_mem = '7MB'; ROLLBACK; SET timezone = 'Asia/Tokyo'", "SHOW work_mem", "SHOW timezone")
script("set_in_pipeline", parse("SET work_mem = '7MB'") + bind() + execute() + parse("SHOW work_mem") + bind() + execute() + SYNC, "SHOW work_mem")
script("set_in_pipeline_that_fails", parse("SET work_mem = '7MB'") + bind() + execute() + parse("SELECT 1/0") + bind() + execute() + SYNC, "SHOW work_mem")
script("set_nonsense_value", "SET work_mem = 'nonsense'", "SHOW work_mem", "SELECT 1")
script("set_nonsense_name", "SET no_such_variable = 1", "SELECT 1")
script("set_nonsense_syntax", "SET work_mem", "SET", "SET x", "RESET", "RESET no_such", "SELECT 1")
script("set_forbidden", "SET log_statement = 'all'", "SET shared_buffers = 1", "SET session_authorization = postgres", "SET ROLE postgres", "SHOW role")
script("set_to_default", "SET work_mem = '7MB'", "SET work_mem TO DEFAULT", "SHOW work_mem", "SHOW timezone")
script("reset_one_keeps_the_other", "SET work_mem = '7MB'", "SET timezone = 'Asia/Tokyo'", "RESET work_mem", "SHOW work_mem", "SHOW timezone")
script("local_ends_with_the_transaction", "BEGIN", "SET LOCAL work_mem = '7MB'", "SHOW work_mem", "COMMIT", "SHOW work_mem")
script("local_over_session", "SET work_mem = '5MB'", "BEGIN", "SET LOCAL work_mem = '7MB'", "SHOW work_mem", "COMMIT", "SHOW work_mem")
script("session_over_local", "BEGIN", "SET LOCAL work_mem = '5MB'", "SET work_mem = '7MB'", "SHOW work_mem", "COMMIT", "SHOW work_mem")
script("local_over_session_inside", "BEGIN", "SET work_mem = '5MB'", "SET LOCAL work_mem = '7MB'", "COMMIT", "SHOW work_mem")
script("local_outside_warns", "SET LOCAL work_mem = '7MB'", "SHOW work_mem")
script("local_custom", "BEGIN", "SET LOCAL my.tenant = 'local'", TENANT, "COMMIT", "SHOW work_mem")
script("savepoint_keeps", "BEGIN", "SET work_mem = '5MB'", "SAVEPOINT a", "SET work_mem = '7MB'", "RELEASE a", "COMMIT", "SHOW work_mem")
script("savepoint_takes_back", "BEGIN", "SET work_mem = '5MB'", "SAVEPOINT a", "SET work_mem = '7MB'", "ROLLBACK TO a", "SHOW work_mem", "COMMIT", "SHOW work_mem")
script("savepoint_after_error", "BEGIN", "SET my.tenant = 'kept'", "SAVEPOINT a", "SET my.tenant = 'lost'", "SELECT 1/0", "ROLLBACK TO a", "COMMIT", TENANT)
script("set_then_error", "BEGIN", "SET work_mem = '7MB'", "SELECT 1/0", "SET work_mem = '8MB'", "COMMIT", "SHOW work_mem")
script("set_and_chain", "BEGIN", "SET work_mem = '7MB'", "COMMIT AND CHAIN", "SET work_mem = '8MB'", "ROLLBACK AND CHAIN", "SHOW work_mem", "COMMIT", "SHOW work_mem")
script("role_then_variables", "SET ROLE other", "SET work_mem = '7MB'", "SELECT current_user", "SHOW work_mem", "RESET ROLE", "SELECT current_user", "SHOW work_mem")
script("role_with_tables", "SET ROLE other", "CREATE TABLE public.of_other (a int)", "SELECT tableowner FROM pg_tables WHERE tablename = 'of_other'",
       "DROP TABLE public.of_other")
script("session_authorization", "SET SESSION AUTHORIZATION wire", "SELECT session_user", "SET SESSION AUTHORIZATION DEFAULT", "SELECT session_user")
script("role_none", "SET ROLE other", "SET ROLE NONE", "SELECT current_user")
script("search_path_decides", PLACE, "SET search_path = aside", PLACE, ext(PLACE), "SET search_path = public", PLACE, ext(PLACE), "RESET search_path", PLACE)
script("timeout_follows", "SET statement_timeout = '50ms'", "SELECT pg_sleep(5)", "SHOW statement_timeout", "SET statement_timeout = 0", "SELECT pg_sleep(0.06)",
       timeouts=1)
script("tiny_timeout", "SET statement_timeout = 1", "SHOW statement_timeout", "SET statement_timeout = 0", "SHOW statement_timeout", timeouts=0)
script("read_only_follows", "SET default_transaction_read_only = on", "INSERT INTO written VALUES (1)", "SET default_transaction_read_only = off",
       "INSERT INTO written VALUES (2)", "SELECT * FROM written")
script("encoding_follows", "SET client_encoding = 'LATIN1'", "SELECT E'\\u00e4'", "SET my.tenant = '\u00c3'", TENANT, "SET client_encoding = 'UTF8'", TENANT)
script("conforming_off", "SET standard_conforming_strings = off", "SELECT 'a\\'b'", "SELECT 'a\\\\b'; SELECT '\\';', 1", "SET standard_conforming_strings = on",
       "SELECT 'a\\'")

# ---- what was asked for at the start ----

START = {"application_name": "starter", "TimeZone": "Europe/Vienna", "DateStyle": "SQL, DMY", "search_path": "aside"}
script("startup", *SHOWS, PLACE, startup=START)
script("startup_options", "SHOW work_mem", "SHOW timezone", TENANT, startup={"options": "-c work_mem=3MB --timezone=Asia/Tokyo -c my.tenant=a\\ b"})
script("startup_long", "SELECT md5(current_setting('my.long')), length(current_setting('my.long'))", "SHOW timezone", "SELECT length(current_setting('my.long'))",
       startup={"my.long": "l" * 8000})
script("startup_set_and_reset_all", "SET timezone = 'Asia/Tokyo'", "SET work_mem = '7MB'", "RESET ALL", *SHOWS, startup=START)
script("startup_reset_all_at_once", "RESET ALL", "SHOW timezone", "SHOW application_name", "SHOW search_path", startup=START)
script("startup_discard_all", "SET timezone = 'Asia/Tokyo'", "DISCARD ALL", *SHOWS, startup=START)
script("startup_reset_one", "SET timezone = 'Asia/Tokyo'", "RESET timezone", "SHOW timezone", startup=START)
script("startup_set_to_default", "SET timezone = 'Asia/Tokyo'", "SET timezone TO DEFAULT", "SHOW timezone", "SHOW application_name", startup=START)
script("startup_set_server_default", "SET application_name = ''", "RESET application_name", "SHOW application_name", startup=START,
       differs="the report of the reset value comes after ReadyForQuery")
script("startup_rolled_back", "BEGIN", "SET timezone = 'Asia/Tokyo'", "ROLLBACK", "SHOW timezone", startup=START)
script("startup_set_in_transaction", "BEGIN", "SET timezone = 'Asia/Tokyo'", "SET search_path = public", "COMMIT", "SHOW timezone", PLACE, startup=START)
script("startup_reset_all_in_transaction", "BEGIN", "RESET ALL", "SHOW timezone", "COMMIT", "SHOW timezone", startup=START,
       differs="inside the transaction the server's own values are seen")
script("asyncpg_release", "SET work_mem = '7MB'", "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;", "SHOW work_mem", "SHOW application_name",
       startup=START)

# ---- transactions ----

for _begin in ("BEGIN", "begin work", "BEGIN TRANSACTION;", "START TRANSACTION", "BEGIN ISOLATION LEVEL SERIALIZABLE",
       "BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ",
               "START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", "BEGIN ISOLATION LEVEL READ UNCOMMITTED READ WRITE NOT DEFERRABLE",
               "/* c */ BEGIN -- d", "BEGIN /* c */ READ ONLY", "BEGIN READ ONLY READ ONLY", "BEGIN NONSENSE", "BEGIN,", "BEGIN; SELECT 1"):
    for _end in ("COMMIT", "ROLLBACK"):
        script("%s_%s" % (_begin.replace(" ", "_"), _end), _begin, "SHOW transaction_isolation", "SHOW transaction_read_only", "SHOW transaction_deferrable",
               "INSERT INTO written VALUES (1)", _end, "SELECT count(*) FROM written", "SHOW transaction_isolation")
        script("%s_%s_empty" % (_begin.replace(" ", "_"), _end), _begin, _end, "SHOW transaction_isolation", "SELECT count(*) FROM written")
for _end in ("COMMIT", "END", "END WORK", "COMMIT TRANSACTION;", "ROLLBACK", "ABORT", "ABORT WORK", "rollback transaction", "COMMIT AND CHAIN", "ROLLBACK AND NO CHAIN",
             "COMMIT PREPARED 'x'", "ROLLBACK TO x", "COMMIT; SELECT 1", "END; BEGIN; SELECT 1"):
    _key = _end.replace(" ", "_")
    script("end_%s_without_begin" % _key, _end, "SELECT 1", "ROLLBACK")
    script("end_%s_empty" % _key, "BEGIN", _end, "SELECT 1", "ROLLBACK", "ROLLBACK")
    script("end_%s_after_error" % _key, "BEGIN", "SELECT 1/0", "SELECT 1", _end, "SELECT 1", "ROLLBACK")
    script("end_%s_after_work" % _key, "BEGIN", "INSERT INTO written VALUES (1)", _end, "SELECT count(*) FROM written", "ROLLBACK")
script("begin_twice", "BEGIN", "BEGIN", "SELECT 1", "BEGIN", "COMMIT", "COMMIT")
script("begin_then_syntax_error", "BEGIN", "SELEC 1", "SELECT 1", "END", "SELECT 1")
script("begin_then_extended", "BEGIN", ext("SELECT $1::text", "a"), ext("SELECT 1/0"), ext("SELECT 1"), ext("ROLLBACK"), "SELECT 1")
script("begin_extended", ext("BEGIN"), ext("INSERT INTO written VALUES (1)"), ext("COMMIT"), "SELECT count(*) FROM written")
script("begin_then_sync", "BEGIN", SYNC, SYNC, "SELECT 1", SYNC, "COMMIT", SYNC)
script("begin_then_empty", "BEGIN", "", ";", "COMMIT")
script("begin_then_set_transaction", "BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", "COMMIT", "SHOW transaction_isolation")
script("begin_then_set_transaction_late", "BEGIN", "SELECT 1", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "COMMIT")
script("begin_then_vacuum", "BEGIN", "VACUUM written", "ROLLBACK", "DISCARD ALL", "BEGIN", "DISCARD ALL", "ROLLBACK")
script("begin_all_in_one", "BEGIN; INSERT INTO written VALUES (1); COMMIT", "SELECT count(*) FROM written", "BEGIN; INSERT INTO written VALUES (2); ROLLBACK",
       "SELECT count(*) FROM written")
script("begin_in_pipeline",
       parse("BEGIN") + bind() + execute() + parse("INSERT INTO written VALUES (1)") + bind() + execute() + SYNC, "SELECT count(*) FROM written", "COMMIT")
script("transaction_stays_on_one_server", "BEGIN", "INSERT INTO written VALUES (1)", "SELECT count(*) FROM written", "ROLLBACK", "SELECT count(*) FROM written")
script("copy_twice_in_one_string", query("COPY written FROM STDIN; COPY written FROM STDIN") + (copy_data(b"1\n") + COPY_DONE) * 2, "SELECT count(*) FROM written")
script("copy_extended", parse("COPY written FROM STDIN") + bind() + execute() + copy_data(b"1\n2\n") + COPY_DONE + SYNC, "SELECT count(*) FROM written",
       "COPY written TO STDOUT")
script("copy_in_transaction_fails", "BEGIN", query("COPY written FROM STDIN") + copy_data(b"x\n") + copy_fail("no"), "SELECT 1", "COMMIT",
       "SELECT count(*) FROM written")
script("more_between_error_and_sync", parse("SELECT 1/0") + bind() + execute() + parse("SELECT 2") + bind() + execute() + query("SELECT 3") + SYNC, "SELECT 4")
script("failed_parse_leaves_the_name_free", parse("SELEC 1") + SYNC, ext("SELECT 1"), parse("SELEC 1") + bind() + execute() + SYNC, ext("SELECT 2"))
script("portal_of_a_transaction", "BEGIN", parse("SELECT generate_series(1, 5)") + bind(portal="p") + execute("p", 2) + SYNC, execute("p",
       2) + SYNC, close_portal("p") + SYNC, execute("p") + SYNC, "ROLLBACK")

script("skipped_close_and_parse", parse("SELECT $1::int", "s") + SYNC, bind(name="s") + close_statement("s") + parse("SELECT 2", "s") + SYNC,
       parse("SELECT 3", "s") + SYNC, bind(["5"], name="s") + execute() + SYNC)
script("unnamed_skipped_twice", parse("SELECT 'first'") + SYNC, bind(name="nobody") + parse("SELECT 'second'") + parse("SELECT 'third'") + SYNC,
       bind() + execute() + SYNC, bind() + execute() + SYNC)
script("unnamed_with_wrong_parameters", parse("SELECT $1::int") + bind() + SYNC, ext("SELECT 1", "2"), parse("SELECT $1::int + 1") + SYNC, bind() + SYNC,
       parse("SELECT $1::int + 2", "s") + parse("SELECT $1::int + 2") + bind() + SYNC, bind(name="s") + SYNC)
script("unnamed_in_a_failed_transaction", "BEGIN", ext("SELECT 1"), "SELECT 1/0", parse("SELECT 1") + SYNC, ext("SELECT 1"), "ROLLBACK")
script("sequence_in_a_string", "SELECT nextval('public.counter') > 0; SELECT lastval() = currval('public.counter')", "SELECT nextval('public.counter') = lastval()",
       parse("SELECT 1", "s") + SYNC + query("SELECT nextval('public.counter') > 0; SELECT lastval() > 0"),
       parse("SELEC") + query("SELECT nextval('public.counter') > 0; SELECT lastval() > 0") + SYNC,
       describe_statement("s") + query("SELECT nextval('public.counter') > 0; SELECT lastval() > 0"),
       "BEGIN; SELECT nextval('public.counter') > 0; SELECT currval('public.counter') > 0; COMMIT", "SELECT 1; SELECT nextval('public.counter') = lastval()")

# ---- what keeps its server ----

script("temp_table", "CREATE TEMP TABLE t (a int)", "INSERT INTO t VALUES (1)", "SELECT * FROM t", "DROP TABLE t", "SELECT * FROM t", "SHOW timezone")
script("temp_table_shadows", "CREATE TEMPORARY TABLE place AS SELECT 'mine'::text AS name", PLACE, PLACE, "DROP TABLE place", PLACE)
script("temp_table_into", "SELECT 'mine'::text AS name INTO TEMP place", PLACE, PLACE, "DISCARD TEMP", PLACE)
script("temp_table_by_schema", "CREATE TABLE pg_temp.place (name text)", PLACE, PLACE, "DROP TABLE pg_temp.place", PLACE)
script("temp_table_on_commit_drop", "BEGIN", "CREATE TEMP TABLE place (name text) ON COMMIT DROP", PLACE, "COMMIT", PLACE)
script("temp_table_rolled_back", "BEGIN", "CREATE TEMP TABLE place (name text)", "ROLLBACK", PLACE)
script("temp_table_in_string", "SELECT 1; CREATE TEMP TABLE place (name text)", PLACE, PLACE, "DISCARD ALL", PLACE)
script("temp_table_extended", ext("CREATE TEMP TABLE place (name text)"), ext(PLACE), PLACE)
script("temp_table_in_do", "DO $$BEGIN CREATE TEMP TABLE place (name text); END$$", PLACE, PLACE)
script("temp_view_function_and_sequence", "CREATE TEMP VIEW v AS SELECT 1", "TABLE v", "DROP VIEW v", "CREATE TEMP SEQUENCE q", "SELECT nextval('q')",
       "SELECT nextval('q')", "DROP SEQUENCE q",
       "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "SELECT pg_temp.f()", "SELECT pg_temp.f()")
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
script("advisory_lock", "SELECT pg_advisory_lock(1)", LOCKS, LOCKS, "SELECT pg_advisory_unlock(1)", LOCKS, "SELECT pg_advisory_unlock(1)")
script("advisory_lock_twice", "SELECT pg_advisory_lock(1), pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", LOCKS, "SELECT pg_advisory_unlock(1)", LOCKS)
script("advisory_try_shared_two_keys", "SELECT pg_try_advisory_lock(1), pg_try_advisory_lock_shared(2, 3)", LOCKS, "SELECT pg_advisory_unlock_all()", LOCKS)
script("advisory_lock_bound", ext("SELECT pg_advisory_lock($1)", "77"), LOCKS, ext("SELECT pg_advisory_unlock($1)", "77"), LOCKS)
script("advisory_lock_of_a_transaction", "BEGIN", "SELECT pg_advisory_xact_lock(5)", LOCKS, "COMMIT", LOCKS)
script("advisory_lock_in_a_transaction", "BEGIN", "SELECT pg_advisory_lock(5)", "ROLLBACK", LOCKS, LOCKS, "SELECT pg_advisory_unlock(5)", LOCKS)
script("hold_cursor", "BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5)", "FETCH 2 FROM c", "COMMIT", "FETCH 2 FROM c", "FETCH 2 FROM c",
       "CLOSE c", "FETCH 1 FROM c")
script("hold_cursor_closed_all", "BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "COMMIT", "CLOSE ALL", "FETCH 1 FROM c")
script("plain_cursor", "BEGIN", "DECLARE c CURSOR FOR SELECT generate_series(1, 5)", "FETCH 2 FROM c", "COMMIT", "FETCH 2 FROM c")
script("sql_prepare", "PREPARE s AS SELECT 'mine'", "EXECUTE s", "EXECUTE s", "DEALLOCATE s", "EXECUTE s", "PREPARE s(int) AS SELECT $1", "EXECUTE s(5)",
       "DEALLOCATE ALL", "EXECUTE s(5)")
script("sql_prepare_in_transaction", "BEGIN", "PREPARE s AS SELECT 'mine'", "ROLLBACK", "EXECUTE s", "DEALLOCATE s", "EXECUTE s")
script("sql_prepare_same_name", "PREPARE s AS SELECT 'mine'", "PREPARE s AS SELECT 'other'", "PREPARE S AS SELEC", "PREPARE s AS SELECT nobody", "PREPARE s",
       "PREPARE s AS",
       "PREPARE s (int) AS SELECT $1", "PREPARE s (no_such_type) AS SELECT $1", "EXECUTE s", parse("SELECT 'parsed'", "s") + SYNC, "EXECUTE s",
       "BEGIN", "PREPARE s AS SELECT 2", "SELECT 1", "ROLLBACK", "EXECUTE s", "DEALLOCATE s", "PREPARE s AS SELECT 'again'", "EXECUTE s")
script("sql_prepare_of_a_parsed_name", parse("SELECT 'parsed'", "s") + SYNC, "PREPARE s AS SELECT 'x'", "PREPARE s AS SELECT nobody",
       "/* \u00e4 */ PREPARE \"s\"(int) AS SELECT $1 + nobody",
       "PREPARE\"s\"AS SELECT 1", "PREPARE s AS TABLE", "PREPARE s (no_such_type) AS SELECT 1", "PREPARE s AS SELECT 1; SELECT 2",
       "PREPARE s AS DROP TABLE x", "BEGIN",
       "PREPARE s AS SELECT 1", "PREPARE s AS SELECT 1", "ROLLBACK", "EXECUTE s", parse("SELECT 2", "s") + SYNC, parse("SELECT nobody", "s") + SYNC,
       "DEALLOCATE s",
       "PREPARE s AS SELECT 'prepared'", "EXECUTE s", bind(name="s") + execute() + SYNC)
script("sql_prepare_in_a_failed_transaction", "BEGIN", "SELECT 1/0", "PREPARE s AS SELECT 1", "PREPARE s AS SELEC", "EXECUTE s", "ROLLBACK", "EXECUTE s",
       "PREPARE s AS SELECT 2", "BEGIN",
       "SELECT 1/0", "PREPARE s AS SELECT 1", "PREPARE s AS SELEC", "EXECUTE s", "DEALLOCATE s", "ROLLBACK", "EXECUTE s")
script("sql_prepare_that_fails", "PREPARE s AS SELECT nobody", "EXECUTE s", "  PREPARE s (int, text) AS  SELECT $1, $2, nobody",
       "PREPARE \"f\u00fcnf\" AS SELECT nobody",
       "PREPARE s AS SELECT '\u00e4', nobody", "PREPARE s AS SELECT", "PREPARE s AS SELECT 1 +;", "PREPARE s AS SELECT $1", "PREPARE s (int) AS SELECT $2",
       "PREPARE s (int AS SELECT 1",
       "PREPARE s () AS SELECT 1", "PREPARE s AS INSERT INTO written VALUES ('x')", "PREPARE s AS (SELECT 1", "PREPARE \"\" AS SELECT 1",
       "PREPARE s AS SELECT 1", "EXECUTE s")
script("sql_execute_that_fails", "PREPARE s(int) AS SELECT 1/$1", "EXECUTE s(nobody)", "EXECUTE s('x')", "EXPLAIN (nonsense) EXECUTE s(1)",
       "EXPLAIN (costs off) EXECUTE s(nobody)",
       "EXECUTE s(1) + 1", "EXECUTE s", "EXECUTE s(1, 2)", "EXECUTE s(0)", "EXECUTE \"s\"(nobody)", "/* \u00e4\u9375 */ EXECUTE s(nobody)",
       "EXECUTE s(2); SELECT nobody", "EXECUTE s(1)",
       "EXECUTE\"s\"(3)", "SET client_encoding = 'LATIN1'", "/* \u00e4 */ SELECT nobody", "EXECUTE s(nobody)")
script("sql_prepare_same_text", "PREPARE a(int) AS SELECT $1", "PREPARE b(int) AS SELECT $1", "EXECUTE b", "EXECUTE a", "DEALLOCATE a", "EXECUTE b(1)",
       "EXECUTE a(1)")
script("sql_prepare_and_explain", "PREPARE s(int) AS SELECT $1 AS a", "EXPLAIN (COSTS OFF) EXECUTE s(1)",
       "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE s(2)",
       "EXPLAIN VERBOSE EXECUTE s(3)", "EXPLAIN EXECUTE t", "DEALLOCATE s", "EXPLAIN EXECUTE s(1)")
script("sql_prepare_and_create_table", "PREPARE s(int) AS SELECT $1 AS a", "CREATE TEMP TABLE t AS EXECUTE s(2)", "TABLE t",
       "CREATE TEMPORARY TABLE IF NOT EXISTS \"as execute\" (b) AS EXECUTE s(7) WITH DATA",
       "SELECT b FROM \"as execute\"", "DROP TABLE t, \"as execute\"", "EXECUTE s(1)")
script("sql_prepare_into", "PREPARE s AS SELECT 1 AS a INTO TEMP t", "EXECUTE s", "TABLE t",
       "PREPARE t AS WITH w AS (INSERT INTO written VALUES (5) RETURNING *) SELECT * FROM w",
       "EXECUTE t", "DEALLOCATE ALL", "SELECT count(*) FROM written")
script("sql_prepare_writes", "PREPARE s(int) AS INSERT INTO written VALUES ($1)", "EXECUTE s(1)", "PREPARE u AS UPDATE written SET a = a + 1 RETURNING a",
       "EXECUTE u", "EXECUTE u",
       "PREPARE d AS DELETE FROM written", "BEGIN", "EXECUTE d", "ROLLBACK", "EXECUTE d", "EXECUTE s(7)", "PREPARE v AS VALUES (1, 'a'), (2, 'b')",
       "EXECUTE v", "PREPARE t AS TABLE written",
       "EXECUTE t", "PREPARE p AS (SELECT 1) UNION (SELECT 2) ORDER BY 1;", "EXECUTE p", "PREPARE w AS WITH a AS (SELECT 3) TABLE a", "EXECUTE w")
script("sql_prepare_in_strings", "PREPARE s AS SELECT 1; EXECUTE s", "EXECUTE s", "SELECT 1; PREPARE t AS SELECT 2", "EXECUTE t", "DEALLOCATE ALL",
       "PREPARE s AS SELECT ';'", "EXECUTE s",
       "PREPARE u AS SELECT E'\\';' -- '", "EXECUTE u", "PREPARE v AS SELECT 'x';;-- end", "EXECUTE v", "EXECUTE v; SELECT 2")
script("sql_prepare_and_parse", "PREPARE s(int) AS SELECT $1 + 1 AS a", bind(["5"], name="s") + describe_portal() + execute() + SYNC, parse("SELECT 2", "s")
       + SYNC,
       close_statement("s") + SYNC, "EXECUTE s(1)", "PREPARE s AS SELECT 'new'", describe_statement("s") + SYNC, bind(name="s") + execute() + SYNC)
script("sql_prepare_in_pipelines", query("PREPARE s AS SELECT 1") + query("EXECUTE s") + query("PREPARE s AS SELECT 2") + query("DEALLOCATE s")
       + query("PREPARE s AS SELECT 3") + query("EXECUTE s"),
       query("BEGIN") + query("PREPARE t AS SELECT 4") + query("EXECUTE t") + query("SELECT 1/0") + query("PREPARE u AS SELECT 1") + query("ROLLBACK")
       + query("EXECUTE t") + query("EXECUTE u"),
       parse("SELECT 5") + bind() + execute() + query("PREPARE v AS SELECT 6"), "EXECUTE v", parse("SELECT 1/0") + bind() + execute()
       + query("PREPARE w AS SELECT 7") + SYNC, "EXECUTE w")
script("sql_prepare_and_discard", "PREPARE s AS SELECT 1", "DISCARD PLANS", "EXECUTE s", "DISCARD TEMP", "EXECUTE s", "DISCARD ALL", "EXECUTE s",
       "PREPARE s AS SELECT 2", "DEALLOCATE PREPARE s",
       "DEALLOCATE s", "PREPARE s AS SELECT 3", "EXECUTE s", "DEALLOCATE ALL", "EXECUTE s")
script("sql_prepare_of_long_and_strange_names", "PREPARE %s AS SELECT 1" % ("n" * 70), "EXECUTE %s" % ("n" * 63), "PREPARE \"S \"\"t\" AS SELECT 2",
       "EXECUTE \"S \"\"t\"", "EXECUTE s",
       "PREPARE transaction AS SELECT 3", "EXECUTE transaction", "PREPARE select AS SELECT 4", "PREPARE pgring_x AS SELECT 5", "EXECUTE pgring_x")
script("sql_execute_leaves", "PREPARE s AS SELECT pg_advisory_lock($1)", "EXECUTE s(5)", LOCKS, LOCKS, "SELECT pg_advisory_unlock(5)", LOCKS,
       "PREPARE c(text) AS SELECT set_config($1, 'mine', false)",
       "EXECUTE c('my.tenant')", TENANT, "RESET my.tenant", "EXECUTE c('my.' || 'tenant')", TENANT, "SHOW timezone", TENANT)
script("sql_execute_of_a_parsed_one_leaves", parse("SELECT pg_advisory_lock($1)", "s") + SYNC, "EXECUTE s(5)", LOCKS, LOCKS, "SELECT pg_advisory_unlock(5)",
       LOCKS,
       parse("SELECT set_config('work_mem', $1, false)", "c") + SYNC, "EXECUTE c('7MB')", "SHOW work_mem", "SHOW work_mem")
script("sql_execute_extended", "PREPARE s(int) AS SELECT $1 + 1 AS a", ext("EXECUTE s(4)"), parse("EXECUTE s(5)", "n") + describe_statement("n") + SYNC,
       bind(name="n") + describe_portal() + execute() + SYNC,
       bind(name="n") + execute() + SYNC, ext("EXPLAIN (COSTS OFF) EXECUTE s(1)"), "DEALLOCATE s", bind(name="n") + execute() + SYNC, ext("EXECUTE s(1)"),
       "PREPARE s(int) AS SELECT 'other'::text, 2",
       bind(name="n") + describe_portal() + execute() + SYNC)
script("sql_execute_extended_of_a_parsed_one", parse("SELECT $1::int + 1 AS a", "s") + parse("EXECUTE s(7)", "n") + bind(name="n") + execute() + SYNC,
       ext("EXECUTE s(4)"), parse("EXECUTE s(5)") + SYNC,
       bind() + describe_portal() + execute() + SYNC, describe_statement() + SYNC, bind() + execute() + SYNC, "BEGIN", bind(name="n") + execute() + SYNC,
       ext("EXECUTE s(0)"), "COMMIT",
       close_statement("s") + bind(name="n") + execute() + SYNC, bind(name="n") + execute() + SYNC)
script("sql_execute_extended_leaves", parse("SELECT pg_advisory_lock($1)", "s") + SYNC, ext("EXECUTE s(5)"), LOCKS, LOCKS, "SELECT pg_advisory_unlock(5)",
       LOCKS)
script("listening_channels", "LISTEN a", "SELECT * FROM pg_listening_channels()", "SELECT * FROM pg_listening_channels()", "UNLISTEN *",
       "SELECT * FROM pg_listening_channels()")
script("currval_in_the_transaction", "BEGIN", "SELECT nextval('public.counter') > 0", "SELECT currval('public.counter') > 0, lastval() > 0", "COMMIT")
script("setseed", "SELECT setseed(0.5)", "SELECT random()", "SELECT random()")
script("setseed_by_variable", "SET seed = 0.5", "SELECT random()", "SELECT random()")
script("pinned_by_hand", "SET pgring.pin = on", "SELECT nextval('public.counter') > 0", "SELECT currval('public.counter') > 0", "SET pgring.pin = off", "SELECT 1")
script("discard_plans_and_sequences", "DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD TEMPORARY", "DEALLOCATE ALL", "CLOSE ALL", "UNLISTEN *")
script("notices_and_warnings", "DO $$BEGIN RAISE NOTICE 'a'; RAISE WARNING 'b'; END$$", "SET client_min_messages = error",
       "DO $$BEGIN RAISE NOTICE 'a'; RAISE WARNING 'b'; END$$", "ROLLBACK")
