"""Random scripts of whole sessions, each made from a number alone: the same number gives the same script.

A script is a list of steps, a step a list of messages as Python source over wireclient's functions, so that it can be read, cut
shorter and pasted into differential.py. Nothing is generated that PostgreSQL itself may answer in two ways (times, process
numbers, the order of rows), nor what docs/limits.md says to be different; each such place names its reason.
"""
import random

import wireclient

# By the superuser: once, and before each run of a script.
FIXTURE = """
CREATE TABLE IF NOT EXISTS public.rnd_written (a int); CREATE TABLE IF NOT EXISTS public.rnd_parents (id int PRIMARY KEY);
CREATE TABLE IF NOT EXISTS public.rnd_children (id int PRIMARY KEY, parent int REFERENCES public.rnd_parents DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE IF NOT EXISTS public.rnd_counter;
GRANT ALL ON public.rnd_written, public.rnd_parents, public.rnd_children TO PUBLIC; GRANT ALL ON SEQUENCE public.rnd_counter TO PUBLIC;
"""
BEFORE_EACH = """
DROP TABLE IF EXISTS public.rnd_own, aside.rnd_own, public.rnd_made, aside.rnd_made;
CREATE TABLE public.rnd_own (a int, b text); INSERT INTO public.rnd_own VALUES (1, 'one'), (2, 'two');
ALTER TABLE public.rnd_own OWNER TO wire; GRANT ALL ON public.rnd_own TO PUBLIC;
TRUNCATE public.rnd_written, public.rnd_parents, public.rnd_children; INSERT INTO public.rnd_parents VALUES (1);
ALTER SEQUENCE public.rnd_counter RESTART
"""
# What a script has left in the database.
AFTER = """SELECT coalesce(string_agg(x, ' ' ORDER BY x), '') FROM (SELECT 'w' || a FROM public.rnd_written UNION ALL
SELECT 'c' || id FROM public.rnd_children UNION ALL SELECT table_schema || '.' || table_name || '.' || column_name || '.' || data_type
FROM information_schema.columns WHERE table_name IN ('rnd_own', 'rnd_made') AND table_schema IN ('public', 'aside')) s(x)"""

VALUES = {
    "search_path": ("aside", "public", "aside, public", "'aside'", "pg_catalog", "''"),
    "TimeZone": ("'Asia/Tokyo'", "'UTC'", "-3", "'Europe/Vienna'"),
    "DateStyle": ("'SQL, DMY'", "German", "'ISO, YMD'", "'MDY'"),
    "IntervalStyle": ("iso_8601", "sql_standard"),
    "application_name": ("'mine'", "'it''s \"mine\"'", "''", "E'f\\u00fcnf'"),
    "statement_timeout": ("'70s'", "0", "99000"),
    "lock_timeout": ("'80s'", "0"),
    "my.var": ("'v1'", "'v 2'", "'it''s'", "7"),
    "my.other": ("'o1'", "on"),
    "client_encoding": ("'LATIN1'", "'UTF8'", "UTF8"),
    "standard_conforming_strings": ("off", "on"),
    "work_mem": ("'7MB'", "4444"),
    "extra_float_digits": ("-3", "1"),
    "bytea_output": ("escape", "hex"),
    "client_min_messages": ("error", "notice", "warning"),
    "default_transaction_isolation": ("'repeatable read'", "serializable"),
    "default_transaction_read_only": ("on", "off"),
    "enable_seqscan": ("off", "on"),
}
BEGINS = ("BEGIN", "BEGIN", "BEGIN", "START TRANSACTION", "BEGIN WORK", "BEGIN TRANSACTION", "BEGIN ISOLATION LEVEL SERIALIZABLE",
          "BEGIN READ ONLY", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE", "BEGIN READ WRITE NOT DEFERRABLE",
          "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", "BEGIN ISOLATION LEVEL READ UNCOMMITTED",
          "BEGIN READ ONLY READ WRITE", "BEGIN NONSENSE")
ENDS = ("COMMIT", "COMMIT", "ROLLBACK", "END", "ABORT", "COMMIT WORK", "ROLLBACK TRANSACTION", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN",
        "COMMIT AND NO CHAIN", "END TRANSACTION")
SAVEPOINTS = ("SAVEPOINT s1", "SAVEPOINT s2", "RELEASE s1", "RELEASE SAVEPOINT s2", "ROLLBACK TO s1", "ROLLBACK TO SAVEPOINT s1",
              "ROLLBACK TO s2")
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
TRANSACTION = ("SHOW transaction_isolation", "SHOW transaction_read_only", "SET TRANSACTION READ ONLY", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
               "SET TRANSACTION READ WRITE", "SET CONSTRAINTS ALL IMMEDIATE", "SET CONSTRAINTS ALL DEFERRED", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'",
               "SELECT pg_current_xact_id_if_assigned() IS NULL")
ERRORS = ("SELECT 1/0", "SELEC 1", "SELECT * FROM nobody", "SELECT nobody", "INSERT INTO public.rnd_parents VALUES (1)", "SELECT 'x'::int",
          "SELECT fail('random')", "VACUUM nobody", "SELECT 'open", "DROP TABLE nobody", "INSERT INTO public.rnd_children VALUES (1, 99)",
          "SELECT 10 / (3 - g) FROM generate_series(1, 5) g", "SELECT 1; SELEC 2", "CREATE TABLE public.place (a int)")
PLAIN = ("SELECT 1", "SELECT 'text', NULL, 2.5", "SELECT name FROM place", "SELECT * FROM place", "SELECT name FROM public.place",
         "INSERT INTO public.rnd_written VALUES (1)", "INSERT INTO public.rnd_written VALUES (2), (3) RETURNING a",
         "UPDATE public.rnd_written SET a = a + 10", "DELETE FROM public.rnd_written WHERE a = 1", "SELECT a FROM public.rnd_written ORDER BY a",
         "INSERT INTO public.rnd_children VALUES (2, 1)", "SELECT current_user, session_user", "SELECT '2020-01-02'::date, '1 day 2 hours'::interval",
         "SELECT '2020-01-02 03:04:05+00'::timestamptz", "SELECT E'\\u00e4'", "SELECT 'a\\b'", "SELECT '\\xff00'::bytea, 0.1::float8", "SELECT say('random')",
         "DO $$BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w'; END$$", "SELECT repeat('x', 100000)", "CALL commits(3)",
         "LOCK TABLE public.rnd_own", "SELECT a FROM public.rnd_own WHERE a = 1 FOR UPDATE", "SELECT g, repeat('y', 50) FROM generate_series(1, 1500) g",
         "", ";", "/* nothing */", "SELECT", "SELECT $$ ; $$, $x$ $$ ' $x$, ';'", "VALUES (1, 'a'), (2, 'b')", "TABLE public.rnd_parents",
         "EXPLAIN (COSTS OFF) SELECT 1", "SELECT count(*) FROM pg_cursors", "MERGE INTO public.rnd_written USING (VALUES (1), (9)) v(n) ON a = v.n WHEN MATCHED "
         "THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.n)", "VACUUM public.rnd_own", "CALL doubles(21)", "SELECT 1 AS %s" % ("long" * 17))
TEMPORARY = ("CREATE TEMP TABLE place (name text)", "CREATE TEMPORARY TABLE place AS SELECT 'mine'::text AS name, 1 AS n", "CREATE TEMP TABLE rnd_tmp (a int)",
             "CREATE TEMP TABLE rnd_tmp (a int) ON COMMIT DROP", "CREATE TEMP TABLE rnd_tmp ON COMMIT DELETE ROWS AS SELECT 1 AS a",
             "CREATE TABLE pg_temp.place (other int)", "SELECT 5 AS a INTO TEMP rnd_tmp", "INSERT INTO rnd_tmp VALUES (5)", "SELECT * FROM rnd_tmp",
             "DROP TABLE rnd_tmp", "DISCARD TEMP", "SELECT * FROM place", "SELECT name FROM place",
             "DO $$BEGIN CREATE TEMP TABLE rnd_tmp (a int); END$$", "CREATE TEMP VIEW rnd_view AS SELECT 7 AS a", "TABLE rnd_view", "DROP VIEW rnd_view",
             "CREATE TEMP SEQUENCE rnd_seq", "SELECT nextval('rnd_seq')", "DROP SEQUENCE rnd_seq", "CREATE TEMP TABLE rnd_own (z int)")
CURSORS = ("DECLARE c1 CURSOR FOR SELECT g FROM generate_series(1, 6) g", "DECLARE c1 CURSOR WITH HOLD FOR SELECT g FROM generate_series(1, 6) g",
           "DECLARE c2 SCROLL CURSOR WITH HOLD FOR SELECT 'c' || g FROM generate_series(1, 4) g", "DECLARE c2 NO SCROLL CURSOR FOR SELECT 1",
           "FETCH 2 FROM c1", "FETCH c1", "FETCH ALL FROM c2", "FETCH BACKWARD 1 FROM c2", "MOVE 1 IN c1", "MOVE 2 FROM c2", "CLOSE c1", "CLOSE c2", "CLOSE ALL",
           "FETCH 1 FROM p", "CLOSE p", "SELECT name, is_holdable FROM pg_cursors WHERE name IN ('c1', 'c2') ORDER BY 1")
CHANGES = ("ALTER TABLE public.rnd_own ADD COLUMN c int", "ALTER TABLE public.rnd_own DROP COLUMN c", "ALTER TABLE public.rnd_own ALTER a TYPE bigint",
           "ALTER TABLE public.rnd_own ALTER a TYPE int", "ALTER TABLE public.rnd_own RENAME b TO bb", "ALTER TABLE public.rnd_own RENAME bb TO b",
           "DROP TABLE public.rnd_own", "CREATE TABLE public.rnd_own (a int, b text)", "CREATE TABLE public.rnd_own AS SELECT 3 AS a, 'three'::text AS b",
           "CREATE TABLE rnd_made (a int)", "DROP TABLE IF EXISTS rnd_made", "SELECT * FROM public.rnd_own ORDER BY a", "SELECT * FROM rnd_own ORDER BY a",
           "CREATE INDEX ON public.rnd_own (a)", "INSERT INTO public.rnd_own (a) VALUES (4)")
CHANNELS = ("LISTEN rnd_one", "LISTEN rnd_two", "UNLISTEN rnd_one", "UNLISTEN *", "NOTIFY rnd_one, 'first'", "NOTIFY rnd_two, 'second'", "NOTIFY rnd_one",
            "SELECT pg_notify('rnd_two', 'called')", "NOTIFY rnd_nobody")
SETTING_FUNCTIONS = ("SELECT public.sets('my.var', 'function') /* set_config */", "DO $$BEGIN PERFORM set_config('my.var', 'done', false); END$$",
                     "DO $$BEGIN SET work_mem = '6MB'; END$$", "DO $$BEGIN PERFORM set_config('work_mem', '5MB', true); END$$",
                     "SELECT set_config('my.' || 'var', 'computed', false)", "SELECT set_config('work_mem', NULL, false)",
                     "SELECT set_config('my.var', 'two', false), set_config('my.other', 'local', true)",
                     "WITH a AS (SELECT set_config('my.var', 'with', false)) SELECT * FROM a", "SELECT set_config('TimeZone', 'America/Lima', true)")

# Statements for names: (text, types, what makes the parameters). Those of SAFE mean the same whatever a script does, so that SQL's EXECUTE
# may be used of them too: for an EXECUTE whose statement can no longer be parsed see docs/limits.md.
SAFE = (("SELECT 1 AS one", (), ""), ("SELECT $1::int + 1 AS a", (), "i"), ("SELECT $1, $2", (23, 25), "it"), ("SELECT g FROM generate_series(1, $1::int) g", (), "n"),
        ("SELECT name FROM public.place WHERE name <> $1", (), "t"), ("INSERT INTO public.rnd_written VALUES ($1) RETURNING a", (), "i"),
        ("UPDATE public.rnd_written SET a = a + $1", (), "i"), ("DELETE FROM public.rnd_written WHERE a = $1", (), "i"), ("SELECT 10 / $1::int AS q", (), "z"),
        ("SELECT $1::text || 'x'", (), "t"), ("SELECT set_config('my.var', $1, false)", (), "t"), ("SELECT set_config('work_mem', $1, true)", (), "m"),
        ("SELECT current_setting('work_mem'), $1::int8", (), "i"), ("SELECT pg_try_advisory_lock($1)", (20,), "k"), ("SELECT pg_advisory_unlock($1)", (20,), "k"),
        ("VALUES (1, 'v'), ($1::int, 'w')", (), "i"), ("SELECT repeat('z', $1::int * 1000)", (), "n"),
        ("SELECT length('%s') + $1::int" % (9000 * "l"), (), "i"), ("INSERT INTO public.rnd_children VALUES ($1, $2)", (), "ii"))
CHANGING = (("SELECT * FROM public.rnd_own ORDER BY a", (), ""), ("SELECT * FROM rnd_own ORDER BY a", (), ""), ("SELECT name FROM place", (), ""),
            ("SELECT * FROM place", (), ""), ("INSERT INTO public.rnd_own (a) VALUES ($1)", (), "i"), ("UPDATE public.rnd_own SET a = 7 WHERE a = 1 RETURNING *", (), ""),
            ("SELECT a + $1 FROM public.rnd_own ORDER BY a", (), "i"), ("SELECT b FROM rnd_own WHERE a = $1", (), "i"), ("SELECT * FROM rnd_tmp", (), ""))
UTILITY = ("BEGIN", "COMMIT", "ROLLBACK", "SHOW TimeZone", "SET my.var = 'named'", "SET LOCAL work_mem = '9MB'", "RESET work_mem", "", "SHOW work_mem",
           "SAVEPOINT s1", "ROLLBACK TO s1", "LISTEN rnd_one", "NOTIFY rnd_one, 'named'")
# How a script may end in the middle of something; whatever it is, it leaves nothing in the database.
RUDE = (["query('BEGIN; INSERT INTO public.rnd_written VALUES (1); SELECT 1')"], ["query('COPY public.rnd_written FROM STDIN')", "copy_data('1\\n')"],
        ["parse('INSERT INTO public.rnd_written VALUES (1)')", "bind()", "execute()", "FLUSH"],
        ["query('SET my.var = 1; SET search_path = aside; CREATE TEMP TABLE place (a int)')"],
        ["query('SELECT pg_sleep(0.02), repeat($$x$$, 3000000)')"], ["parse('SELECT 1', 'a')", "query('LISTEN rnd_one')", "query('SET ROLE other')"],
        ["query('BEGIN')", "query('DECLARE c1 CURSOR WITH HOLD FOR SELECT 1')", "parse('SELEC')"], ["parse('SELECT 1')", "bind()", "query('PREPARE c AS SELECT 1')"],
        ["parse('COPY public.rnd_written FROM STDIN')", "bind()", "execute()", "copy_data('1\\n')", "FLUSH"], ["query('SELECT setseed(0.5), pg_advisory_lock(667)')"])
THEMES = ("variables", "prepared", "sqlprepare", "temporary", "cursors", "locks", "copy", "changes", "errors", "channels", "random", "functions", "sequences")


class Script:
    """steps: lists of messages as source. rude: the last step is sent and the connection dropped without a look at the answer."""

    def __init__(self, seed, startup, steps, rude=False):
        self.seed, self.startup, self.steps, self.rude = seed, startup, steps, rude

    def source(self):
        lines = ["startup=%r%s" % (self.startup, " rude" if self.rude else "")] if self.startup or self.rude else []
        return "\n".join(lines + ["    " + " + ".join(step) + "," for step in self.steps])


NAMES = {name: getattr(wireclient, name) for name in ("query", "parse", "bind", "execute", "describe_statement", "describe_portal", "close_statement",
                                                     "close_portal", "copy_data", "copy_fail", "function_call", "SYNC", "FLUSH", "COPY_DONE")}


def compiled(source):
    return eval(source, {"__builtins__": {}}, NAMES)


def query(sql, long=False):
    """long: with a comment that does not fit into what is looked at without a copy."""
    return "query('/*' + 3000 * '-' + '*/' + %r)" % sql if long else "query(%r)" % sql


class Generator:
    def __init__(self, seed):
        self.seed, self.rng = seed, random.Random(seed)
        rng = self.rng
        self.themes = ["transactions", "plain"] + rng.sample(THEMES, rng.randint(1, 3))
        # What a RESET inside of a transaction shows of a startup parameter is a known difference: such scripts do not reset.
        self.startup = {}
        if rng.random() < 0.12:
            self.startup = dict(rng.sample([("application_name", "starter"), ("TimeZone", "Europe/Vienna"), ("DateStyle", "SQL, DMY"), ("search_path", "aside"),
                                            ("options", "-c work_mem=3MB -c my.var=started")], rng.randint(1, 3)))
        self.open = False  # a batch without its Sync
        # PostgreSQL may crash when a portal that has failed, or one of BEGIN, is executed once more in a transaction that has failed.
        self.risky = False
        self.unnamed = None  # makers of the parameters of the unnamed statement, if it may be used in a later batch

    def script(self):
        steps = []
        if "random" in self.themes:
            steps.append([query("SELECT setseed(0.%d)" % self.rng.randint(1, 9))])
        for _ in range(self.rng.randint(3, 14)):
            step = []
            for _ in range(self.rng.choice((1, 1, 1, 1, 2, 2, 3, 4, 8))):
                step += self.group()
                if any(word in " ".join(step).upper() for word in ("DEALLOCATE", "DISCARD")):
                    break  # what is sent before its answer still finds the statements
            steps.append(step)
        if self.open:
            steps.append(["SYNC"])
        rude = self.rng.random() < 0.12
        return Script(self.seed, self.startup, steps + ([list(self.rng.choice(RUDE))] if rude else []), rude)

    # -- groups of messages, each of which makes its own answer come

    def group(self):
        theme = self.rng.choice(self.themes)
        if theme == "copy" and not self.open and self.rng.random() < 0.8:
            return self.copy()
        if theme == "sqlprepare" and not self.open and self.rng.random() < 0.7:
            return self.sqlprepare()
        if theme == "sequences":
            return self.sequence()
        if theme == "prepared" and self.rng.random() < 0.8 or self.rng.random() < 0.25:
            return self.batch()
        if self.rng.random() < 0.03:
            return [self.rng.choice(("SYNC", "FLUSH"))]
        if self.rng.random() < 0.02:
            return ["function_call(177, [b'\\0\\0\\0\\5', b'\\0\\0\\0\\2'])"]
        if self.rng.random() < 0.2:
            return [query(self.string(), self.rng.random() < 0.05)]
        return [query(self.dressed(self.statement(theme)), self.rng.random() < 0.05)]

    def dressed(self, sql):
        """Other letters and comments, the same meaning."""
        if self.rng.random() < 0.1 and not any(c in sql for c in "'\"$\\"):
            sql = self.rng.choice((sql.lower(), sql.upper() if sql.isascii() else sql, sql.swapcase()))
        if self.rng.random() < 0.1:
            sql = self.rng.choice(("/* c */ ", "-- d\n", "  ", "\n\t", "/* ; /* ' */ */")) + sql
        if self.rng.random() < 0.1:
            sql += self.rng.choice((";", " ; ", " -- end", " /* end */", ";;"))
        return sql

    def string(self):
        """Several statements. What is known by its place as the only one of its string is not among them."""
        parts = []
        for _ in range(self.rng.randint(2, 4)):
            sql = self.statement(self.rng.choice(self.themes))
            if "channels" in self.themes and "ROLLBACK" in sql:
                continue  # an UNLISTEN behind it has no effect
            parts.append(self.dressed(sql) if self.rng.random() < 0.3 else sql)
        return "; ".join(part if "--" not in part else part + "\n" for part in parts)

    # -- statements

    def statement(self, theme):
        rng = self.rng
        if theme == "transactions":
            choice = rng.random()
            if choice < 0.4:
                return rng.choice(BEGINS)
            if choice < 0.75:
                return rng.choice(ENDS)
            if choice < 0.93 and "channels" not in self.themes:  # an UNLISTEN older than a savepoint that is rolled back
                return rng.choice(SAVEPOINTS)
            return rng.choice(TRANSACTION)
        if theme == "variables":
            return self.variable()
        if theme == "errors":
            return rng.choice(ERRORS)
        if theme == "locks":
            return self.lock()
        if theme == "random":
            return rng.choice(("SELECT random()", "SELECT random() AS r, 1", "SELECT setseed(0.5)", "SET seed = 0.25", "SELECT 1"))
        lists = {"temporary": TEMPORARY, "cursors": CURSORS, "changes": CHANGES, "channels": CHANNELS, "functions": SETTING_FUNCTIONS}
        if theme == "functions" and rng.random() < 0.4:
            return rng.choice(("SHOW work_mem", "SELECT nullif(current_setting('my.var', true), '')", "SHOW TimeZone"))
        sql = rng.choice(lists.get(theme, PLAIN))
        return "SELECT 1" if self.startup and "NULL, false" in sql else sql

    def variable(self):
        rng = self.rng
        name = rng.choice(list(VALUES))
        value = rng.choice(VALUES[name])
        show = "SHOW " + name
        if "." in name:  # one that was set once has no value, or '', on another server
            show = "SELECT nullif(current_setting('%s', true), '')" % name
        choice = rng.random()
        if choice < 0.3:
            return rng.choice((show, "SELECT nullif(current_setting('%s', true), '') AS a" % name))
        if choice < 0.55:
            return rng.choice(("SET %s = %s", "SET %s TO %s", "SET SESSION %s TO %s")) % (name, value)
        if choice < 0.7:
            return "SET LOCAL %s TO %s" % (name, value)
        if choice < 0.8 and not self.startup:
            return rng.choice(("RESET %s" % name, "SET %s TO DEFAULT" % name, "SET LOCAL %s TO DEFAULT" % name, "RESET ALL", "DISCARD ALL"))
        if choice < 0.88:
            bare = value.strip("'").replace("''", "'") if not value.startswith("E") else "x"
            return "SELECT set_config('%s', '%s', %s)" % (name, bare.replace("'", "''"), rng.choice(("true", "false", "false", "'f'")))
        return rng.choice(("SET ROLE other", "SET ROLE NONE", "SET LOCAL ROLE other",
                           "SET LOCAL SESSION AUTHORIZATION wire", "RESET ROLE", "SET SESSION AUTHORIZATION wire", "SET SESSION AUTHORIZATION DEFAULT",
                           "RESET SESSION AUTHORIZATION", "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                           "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET TIME ZONE 'Asia/Tokyo'",
                           "SHOW role" if self.startup else "SET TIME ZONE LOCAL",
                           "SET NAMES 'LATIN1'", "SET SCHEMA 'aside'", "SET work_mem = 'nonsense'", "SET nobody = 1", "SET TimeZone = 'Nowhere'", "SHOW role",
                           "SET ROLE nobody_at_all", "DISCARD PLANS", "DISCARD SEQUENCES", "SELECT current_user, session_user", "SET role = 'sam'"))

    def key(self):
        return self.seed * 4 + self.rng.randint(1, 2)

    def lock(self):
        rng, key = self.rng, self.key()
        return rng.choice(("SELECT pg_advisory_lock(%d)" % key, "SELECT pg_try_advisory_lock(%d)" % key, "SELECT pg_advisory_unlock(%d)" % key,
                           "SELECT pg_advisory_unlock(%d)" % key, "SELECT pg_advisory_unlock_all()", "SELECT pg_advisory_xact_lock(%d)" % key,
                           "SELECT pg_try_advisory_lock_shared(%d)" % key, "SELECT pg_advisory_unlock_shared(%d)" % key, LOCKS, LOCKS,
                           "SELECT pg_try_advisory_xact_lock(%d), pg_advisory_lock(%d)" % (key, key)))

    # -- what belongs together

    def sequence(self):
        """What a session has taken from sequences is promised inside of one transaction only."""
        first = self.rng.choice(("SELECT nextval('public.rnd_counter')", "SELECT nextval('public.rnd_counter'), nextval('public.rnd_counter')"))
        then = self.rng.choice(("SELECT currval('public.rnd_counter')", "SELECT lastval()", "SELECT currval('public.rnd_counter'), lastval()"))
        if self.rng.random() < 0.5:
            return [query("%s; %s" % (first, then))]
        return ["parse(%r)" % first, "bind()", "execute()", "parse(%r)" % then, "bind()", "describe_portal()", "execute()"] + self.end(True)

    def sqlprepare(self):
        """SQL's PREPARE under the names c and d, which no Parse uses: a Parse of a name that the same transaction has prepared by SQL is
        not refused."""
        rng = self.rng
        name = rng.choice("ccd")
        text, types, makers = rng.choice(SAFE)
        choice = rng.random()
        if choice < 0.35:
            declared = {(23, 25): " (int, text)", (20,): " (bigint)"}.get(types, "")
            return [query(self.dressed("PREPARE %s%s AS %s" % (name, declared, text)))]
        if choice < 0.8:
            name = rng.choice("ccdab")
            arguments = ", ".join(self.literal(maker) for maker in makers)
            sql = "EXECUTE %s%s" % (name, "(%s)" % arguments if arguments else "")
            if rng.random() < 0.1:
                sql = rng.choice(("EXPLAIN (COSTS OFF) ", "CREATE TEMP TABLE rnd_tmp AS ")) + sql
            if rng.random() < 0.2:
                return ["parse(%r)" % sql] + self.bound("") + self.end(True)
            return [query(self.dressed(sql))]
        if choice < 0.95:
            return [query(rng.choice(("DEALLOCATE ALL", "DEALLOCATE c", "DEALLOCATE PREPARE d", "DEALLOCATE a", "DEALLOCATE nobody", "DISCARD PLANS")))]
        return ["bind(%r, name=%r)" % (self.parameters(makers), name), "execute()"] + self.end(True)

    def literal(self, maker):
        return {"i": "%d" % self.rng.randint(1, 9), "n": "%d" % self.rng.randint(1, 6), "z": "%d" % self.rng.randint(0, 2), "t": self.rng.choice(("'lit'", "'public'")),
                "m": "'%dMB'" % self.rng.randint(2, 9), "k": "%d" % self.key()}[maker]

    def parameters(self, makers):
        out = []
        for maker in makers:
            value = self.literal(maker).strip("'")
            out.append(None if self.rng.random() < 0.05 else value)
        return out

    def copy(self):
        rng = self.rng
        table = rng.choice(("public.rnd_written", "public.rnd_written", "public.rnd_children", "rnd_tmp", "nobody"))
        good = "7\n8\n" if table != "public.rnd_children" else "%d\t1\n%d\t1\n" % (rng.randint(10, 99), rng.randint(100, 999))
        data = ["copy_data(%r)" % rng.choice((good, good, good[:3], "x\n", "1\t99\n", "", "5\n" * 3000))]
        if rng.random() < 0.3:
            data.append("copy_data(%r)" % rng.choice((good, "bad\n")))
        data.append("COPY_DONE" if rng.random() < 0.8 else "copy_fail('no more')")
        choice = rng.random()
        if choice < 0.2:
            return [query(rng.choice(("COPY public.rnd_parents TO STDOUT", "COPY (SELECT g FROM generate_series(1, 2000) g) TO STDOUT", "COPY (SELECT 1/0) TO STDOUT",
                                      "COPY place TO STDOUT", "COPY (SELECT 1/(3-g) FROM generate_series(1, 5) g) TO STDOUT", "SELECT 1; COPY place TO STDOUT; SELECT 2",
                                      "COPY public.rnd_parents TO STDOUT (FORMAT binary)")))]
        if choice < 0.3:
            return ["parse('COPY public.rnd_parents TO STDOUT')", "bind()"] + rng.choice(([], ["describe_portal()"])) + ["execute()", "SYNC"]
        copy = "COPY %s FROM STDIN" % table
        if choice < 0.6:
            before, behind = (self.statement(rng.choice(self.themes)) for _ in range(2))
            if any("--" in other or "STDIN" in other for other in (before, behind)):
                before = behind = "SELECT 1"
            return [query(rng.choice((copy, copy, "%s; %s" % (copy, behind), "%s; %s" % (before, copy))))] + data
        if choice < 0.75:
            return [query("%s; %s" % (copy, copy))] + data + data
        # Closed behind it: a copy that is executed again would wait for data.
        return ["parse(%r)" % copy, "bind()", "execute()"] + data + rng.choice(([], self.units())) + ["SYNC", "close_statement()", "SYNC"]

    # -- the extended protocol

    def end(self, whole=False):
        """What makes the answers come."""
        choice = self.rng.random()
        if whole or choice < 0.85 or self.open and choice < 0.9:
            self.open = False
            return ["SYNC"]
        if choice < 0.95:
            self.open = True
            return ["FLUSH"]
        self.open = False
        return [query(self.statement("plain")), "SYNC"]

    def batch(self):
        out = []
        for _ in range(self.rng.choice((1, 1, 1, 2, 2, 3))):
            out += self.units()
            if any("DEALLOCATE" in source or "DISCARD" in source for source in out):
                return out + self.end(True)
            if self.rng.random() < 0.1:
                out.append("FLUSH")
        return out + self.end()

    def describe(self, portal):
        return ["describe_portal(%r)" % portal if portal else "describe_portal()"] if self.rng.random() < 0.5 else []

    def bound(self, makers, name="", sql=""):
        """A Bind and what follows it."""
        rng = self.rng
        self.risky |= name in ("u", "v") or sql.lstrip("/*c -d\n\t").upper().startswith(("BEGIN", "START", "COMM", "ROLL", "END", "ABORT", "SAVE", "REL"))
        portal = rng.choice(("", "", "", "", "p", "q"))
        values, formats = self.parameters(makers), []
        if makers == "i" and rng.random() < 0.2 and values[0]:
            values, formats = [b"\0\0\0" + bytes([int(values[0])])], [1]
        if rng.random() < 0.03:
            values = values + ["more"] if rng.random() < 0.5 else values[:-1]
        arguments = [repr(values)] if values else []
        arguments += ["portal=%r" % portal] if portal else []
        arguments += ["name=%r" % name] if name else []
        arguments += ["formats=%r" % formats] if formats else []
        arguments += ["result_formats=[1]"] if rng.random() < 0.15 else []
        executed = "execute(%s)" % ", ".join(([repr(portal)] if portal else []) + (["rows=%d" % rng.randint(1, 3)] if rng.random() < 0.2 else []))
        out = ["bind(%s)" % ", ".join(arguments)] + self.describe(portal)
        out += [executed] * rng.choice((1, 1, 1, 1, 1, 1 if self.risky else 2, 0))
        return out + (["close_portal(%r)" % portal] if portal and rng.random() < 0.2 else [])

    def units(self):
        rng = self.rng
        choice = rng.random()
        if choice < 0.3:
            sql = self.statement(rng.choice(self.themes))
            if rng.random() < 0.3:
                text, types, makers = rng.choice(SAFE)
                self.unnamed = makers
                return ["parse(%r%s)" % (text, ", types=%r" % (types,) if types else "")] + (self.bound(makers) if rng.random() < 0.7 else [])
            if rng.random() < 0.1:
                sql = rng.choice(("DEALLOCATE a", "DEALLOCATE ALL", "DEALLOCATE x"))
                self.unnamed = None
                return ["parse(%r)" % sql, "bind()", "execute()"]  # pgring forgets it with the Parse
            self.unnamed = None  # one that nobody has described has no result that could have changed
            return ["parse(%r)" % sql] + self.bound("", sql=sql)
        if choice < 0.5:
            name, source = rng.choice((("a", SAFE), ("b", SAFE), ("x", CHANGING), ("y", CHANGING)))
            text, types, makers = rng.choice(source)
            out = ["close_statement(%r)" % name] if rng.random() < 0.5 else []
            out.append("parse(%r, %r%s)" % (text, name, ", types=%r" % (types,) if types else ""))
            out += ["describe_statement(%r)" % name] if rng.random() < 0.4 else []
            return out + (self.bound(makers, name) if rng.random() < 0.7 else [])
        if choice < 0.75:
            name = rng.choice("abxy")
            return self.bound(rng.choice(("", "", "i", "i", "t", "n")), name)
        if choice < 0.8:
            name = rng.choice("uv")
            return (["close_statement(%r)" % name] if rng.random() < 0.5 else []) + ["parse(%r, %r)" % (self.utility(), name)] + self.bound("", name)
        if choice < 0.84:
            return self.bound("", rng.choice("uv"))
        if choice < 0.87 and self.unnamed is not None:
            return self.bound(self.unnamed)
        if choice < 0.91:
            more = () if self.risky else ("execute('p')", "execute('q', rows=1)", "describe_portal('p')")
            return [rng.choice(("close_portal('p')", "close_portal('q')", "close_portal()") + more)]
        if choice < 0.97:
            return ["%s(%r)" % (rng.choice(("describe_statement", "close_statement", "close_statement")), rng.choice(("a", "b", "x", "y", "u", "nobody")))]
        return self.bound("", "nobody")

    def utility(self):
        texts = [text for text in UTILITY if "channels" in self.themes or "LISTEN" not in text and "NOTIFY" not in text]
        if self.startup:
            texts.remove("RESET work_mem")
        if "channels" in self.themes:
            texts.remove("ROLLBACK TO s1")
        return self.rng.choice(texts)


def generated(seed):
    return Generator(seed).script()
