// node-postgres: unnamed statements by default, named ones where a query has a name.
import pg from 'pg';
import { allClients, clients, equal, fails, numbers, place, rounds, run, within } from './checks.mjs';

async function connected(work, more = {}) {
  const client = new pg.Client({ ...place, ...more });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const one = async (client, text, values) => Object.values((await client.query(text, values)).rows[0])[0];

async function freshTable() {
  await connected((client) => client.query('DROP TABLE IF EXISTS pg_rows; CREATE TABLE pg_rows (owner int, n int, word text, PRIMARY KEY (owner, n))'));
}

await run({
  types: () => connected(async (client) => {
    for (const name of [undefined, 'types', 'types']) {
      const { rows } = await client.query({
        name, rowMode: 'array', text: 'SELECT $1::int, $2::text, $3::bytea, $4::numeric, $5::bool, $6::int[], $7::jsonb, $8::text',
        values: [7, 'zwölf', Buffer.from([0, 255]), '1.50', true, [1, 2], { a: [1] }, null],
      });
      equal(rows, [[7, 'zwölf', Buffer.from([0, 255]), '1.50', true, [1, 2], { a: [1] }, null]]);
    }
  }),

  workers: async () => {
    await freshTable();
    const pool = new pg.Pool({ ...place, max: clients });
    await allClients(async (owner) => {
      for (const n of numbers(rounds)) {
        const client = await pool.connect();
        await client.query('BEGIN');
        await client.query('INSERT INTO pg_rows VALUES ($1, $2, $3)', [owner, n, `word ${n}`]);
        const { rows } = await client.query('SELECT count(*)::int AS count, sum(n)::int AS sum FROM pg_rows WHERE owner = $1', [owner]);
        equal(rows, [{ count: n + 1, sum: (n * (n + 1)) / 2 }]);
        await client.query('COMMIT');
        client.release();
      }
    });
    equal(await one(pool, 'SELECT count(*)::int FROM pg_rows'), clients * rounds);
    await pool.end();
  },

  transactions: async () => {
    await freshTable();
    await connected(async (client) => {
      await client.query('BEGIN');
      await client.query("INSERT INTO pg_rows VALUES (1, 1, 'kept')");
      await client.query('SAVEPOINT here');
      await fails('23505', client.query("INSERT INTO pg_rows VALUES (1, 1, 'twice')"));
      await fails('25P02', client.query('SELECT 1'));
      await client.query('ROLLBACK TO here');
      await client.query('COMMIT');
      equal(await one(client, 'SELECT word FROM pg_rows'), 'kept');
    });
  },

  errors: () => connected(async (client) => {
    for (const n of numbers(3)) {
      await fails('42601', client.query('SELEC 1'));
      await fails('42P01', client.query('SELECT * FROM nowhere_to_be_found WHERE n = $1', [n]));
      await fails('22012', client.query({ name: 'division', text: 'SELECT 1 / $1::int', values: [0] }));
      await fails('42601', client.query({ name: 'broken', text: 'SELEC 1' }));
      equal(await one(client, 'SELECT $1::int', [n]), n);
    }
  }),

  'prepared over transactions': () => allClients((owner) => connected(async (client) => {
    for (const n of numbers(rounds)) {
      equal(await one(client, { name: 'mine', text: `SELECT $1::int + ${owner}`, values: [n] }), n + owner);
      await client.query('BEGIN');
      equal(await one(client, { name: 'same', text: 'SELECT $1::int * 2', values: [n] }), 2 * n);
      await client.query('COMMIT');
    }
  })),

  'queries queued at once': () => allClients((owner) => connected(async (client) => {
    const answers = await Promise.all(numbers(100).map((n) => one(client, 'SELECT $1::int * 1000 + $2::int', [owner, n])));
    equal(answers, numbers(100).map((n) => owner * 1000 + n));
  })),

  settings: () => allClients((owner) => connected(async (client) => {
    await client.query(`SET app.who = 'client ${owner}'`);
    await client.query('SELECT set_config($1, $2, false)', ['app.computed', `computed ${owner}`]);
    for (const _ of numbers(rounds)) {
      const { rows } = await client.query({ rowMode: 'array', text: "SELECT current_setting('app.who'), current_setting('app.computed'), current_setting('application_name'), current_setting('statement_timeout')" });
      equal(rows, [[`client ${owner}`, `computed ${owner}`, `named ${owner}`, '7s']]);
    }
  }, { application_name: `named ${owner}`, statement_timeout: 7000 })),

  'a timeout of the driver': async () => {
    const client = new pg.Client({ ...place, query_timeout: 200 });
    await client.connect();
    client.on('error', () => {});
    try {
      await client.query('SELECT pg_sleep(3)');
      throw new Error('no timeout');
    } catch (problem) {
      equal(problem.message, 'Query read timeout');
    }
    await client.end();
    equal(await connected((other) => one(other, 'SELECT 1')), 1);
  },

  notifications: () => connected((listener) => connected(async (speaker) => {
    const heard = [];
    let done;
    const all = new Promise((resolve) => { done = resolve; });
    listener.on('notification', (message) => heard.push(message.payload) === 5 && done());
    await listener.query('LISTEN pg_news');
    for (const n of numbers(5)) await speaker.query('SELECT pg_notify($1, $2)', ['pg_news', `number ${n}`]);
    await within(30000, all, 'the notifications were');
    equal(heard, numbers(5).map((n) => `number ${n}`));
  })),
});
