// postgres.js: named statements for everything, and pipelining whenever more than one query is under way.
import postgres from 'postgres';
import { allClients, clients, equal, fails, numbers, place, rounds, run, sleep, within } from './checks.mjs';

async function opened(work, more = {}) {
  const sql = postgres({ ...place, max: clients, onnotice: () => {}, ...more });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 2 });
  }
}

async function freshTable(sql) {
  await sql.unsafe('DROP TABLE IF EXISTS postgres_rows; CREATE TABLE postgres_rows (owner int, n int, word text, PRIMARY KEY (owner, n))');
}

const plain = (rows) => rows.map((row) => ({ ...row }));

await run({
  types: () => opened(async (sql) => {
    for (const _ of numbers(3)) {
      const rows = await sql`SELECT ${7}::int AS n, ${'zwölf'}::text AS word, ${Buffer.from([0, 255])}::bytea AS bytes, ${true}::bool AS truth, ${[1, 2]}::int[] AS list,
        ${sql.json({ a: [1] })}::jsonb AS document, ${null}::text AS nothing`;
      equal(plain(rows), [{ n: 7, word: 'zwölf', bytes: Buffer.from([0, 255]), truth: true, list: [1, 2], document: { a: [1] }, nothing: null }]);
    }
  }),

  workers: () => opened(async (sql) => {
    await freshTable(sql);
    await allClients(async (owner) => {
      for (const n of numbers(rounds)) {
        await sql.begin(async (tx) => {
          await tx`INSERT INTO postgres_rows VALUES (${owner}, ${n}, ${`word ${n}`})`;
          const rows = await tx`SELECT count(*)::int AS count, sum(n)::int AS sum FROM postgres_rows WHERE owner = ${owner}`;
          equal(plain(rows), [{ count: n + 1, sum: (n * (n + 1)) / 2 }]);
        });
      }
    });
    equal(plain(await sql`SELECT count(*)::int AS count FROM postgres_rows`), [{ count: clients * rounds }]);
  }),

  'workers without prepared statements': () => opened(async (sql) => {
    await allClients(async (owner) => {
      for (const n of numbers(rounds)) {
        equal(plain(await sql`SELECT ${owner}::int * 1000 + ${n}::int AS value`), [{ value: owner * 1000 + n }]);
      }
    });
  }, { prepare: false }),

  transactions: () => opened(async (sql) => {
    await freshTable(sql);
    await sql.begin('isolation level serializable', async (tx) => {
      await tx`INSERT INTO postgres_rows VALUES (1, 1, 'kept')`;
      await fails('23505', tx.savepoint((inner) => inner`INSERT INTO postgres_rows VALUES (1, 1, 'twice')`));
      equal(plain(await tx`SHOW transaction_isolation`), [{ transaction_isolation: 'serializable' }]);
    });
    await fails('22012', sql.begin(async (tx) => {
      await tx`DELETE FROM postgres_rows`;
      await tx`SELECT 1 / ${0}::int`;
    }));
    equal(plain(await sql`SELECT word FROM postgres_rows`), [{ word: 'kept' }]);
  }),

  errors: () => opened(async (sql) => {
    for (const n of numbers(5)) {
      await fails('42601', sql`SELEC ${n}`);
      await fails('42P01', sql`SELECT * FROM nowhere_to_be_found WHERE n = ${n}`);
      await fails('22012', sql`SELECT ${n}::int / 0`);
      equal(plain(await sql`SELECT ${n}::int AS n`), [{ n }]);
    }
  }, { max: 1 }),

  'pipelined queries': () => opened(async (sql) => {
    await allClients(async (owner) => {
      const all = numbers(50).map((n) => (n % 10 === 9 ? fails('22012', sql`SELECT ${n}::int / 0`) : sql`SELECT ${owner}::int * 1000 + ${n}::int AS value`));
      const answers = await Promise.all(all);
      answers.forEach((rows, n) => n % 10 === 9 || equal(plain(rows), [{ value: owner * 1000 + n }]));
    });
  }, { max: 3 }),

  cursors: () => opened(async (sql) => {
    let next = 1;
    for await (const rows of sql`SELECT g FROM generate_series(1, 1000) g`.cursor(70)) {
      for (const row of rows) equal(row.g, next++);
    }
    equal(next, 1001);
  }),

  copy: () => opened(async (sql) => {
    await freshTable(sql);
    await allClients(async (owner) => {
      const into = await sql`COPY postgres_rows FROM STDIN`.writable();
      await new Promise((resolve, reject) => {
        into.on('error', reject).on('finish', resolve);
        for (const n of numbers(500)) into.write(`${owner}\t${n}\tword ${n}\n`);
        into.end();
      });
      let text = '';
      const out = await sql.unsafe(`COPY (SELECT n, word FROM postgres_rows WHERE owner = ${owner} ORDER BY n) TO STDOUT`).readable();
      for await (const chunk of out) text += chunk;
      equal(text, numbers(500).map((n) => `${n}\tword ${n}\n`).join(''));
    });
  }),

  settings: () => opened(async (sql) => {
    for (const _ of numbers(rounds)) {
      equal(plain(await sql`SELECT current_setting('application_name') AS a, current_setting('app.born') AS b, current_setting('statement_timeout') AS c`),
        [{ a: 'the postgres program', b: 'here', c: '7s' }]);
    }
  }, { connection: { application_name: 'the postgres program', 'app.born': 'here', statement_timeout: 7000 } }),

  'a reserved connection keeps its settings': () => opened(async (sql) => {
    await allClients(async (owner) => {
      const mine = await sql.reserve();
      await mine`SELECT set_config('app.who', ${`client ${owner}`}, false)`;
      for (const _ of numbers(rounds)) equal(plain(await mine`SELECT current_setting('app.who') AS who`), [{ who: `client ${owner}` }]);
      mine.release();
    });
  }),

  cancel: () => opened(async (sql) => {
    for (const n of numbers(3)) {
      const query = sql`SELECT pg_sleep(10)`;
      const failure = fails('57014', query);
      await sleep(500);
      query.cancel();
      await failure;
      equal(plain(await sql`SELECT ${n}::int AS n`), [{ n }]);
    }
  }, { max: 1 }),

  notifications: () => opened(async (sql) => {
    const heard = [];
    let done;
    const all = new Promise((resolve) => { done = resolve; });
    await sql.listen('postgres_news', (payload) => heard.push(payload) === 5 && done());
    for (const n of numbers(5)) await sql.notify('postgres_news', `number ${n}`);
    await within(30000, all, 'the notifications were');
    equal(heard, numbers(5).map((n) => `number ${n}`));
  }),
});
