// Knex: a query builder over node-postgres, with a pool, transactions and migrations of its own.
import knex from 'knex';
import { allClients, clients, equal, fails, numbers, place, rounds, run } from './checks.mjs';

async function opened(work, more = {}) {
  const db = knex({ client: 'pg', connection: place, pool: { min: 0, max: clients, ...more } });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}

async function freshTable(db) {
  await db.schema.dropTableIfExists('knex_rows');
  await db.schema.createTable('knex_rows', (table) => {
    table.integer('owner');
    table.integer('n');
    table.jsonb('note');
    table.primary(['owner', 'n']);
  });
}

await run({
  workers: () => opened(async (db) => {
    await freshTable(db);
    await allClients(async (owner) => {
      for (const n of numbers(rounds)) {
        await db.transaction(async (tx) => {
          await tx('knex_rows').insert({ owner, n, note: { n } });
          const [row] = await tx('knex_rows').where({ owner }).count('* as count').sum('n as sum');
          equal([Number(row.count), Number(row.sum)], [n + 1, (n * (n + 1)) / 2]);
        });
        equal((await db('knex_rows').where({ owner, n }).first()).note, { n });
      }
    });
    equal(Number((await db('knex_rows').count('* as count').first()).count), clients * rounds);
  }),

  transactions: () => opened(async (db) => {
    await freshTable(db);
    await db.transaction(async (tx) => {
      await tx('knex_rows').insert({ owner: 1, n: 1 });
      await fails('23505', tx.transaction((inner) => inner('knex_rows').insert({ owner: 1, n: 1 })));
      await tx('knex_rows').insert({ owner: 1, n: 2 });
    }, { isolationLevel: 'serializable' });
    await fails('22012', db.transaction(async (tx) => {
      await tx('knex_rows').delete();
      await tx.raw('SELECT 1/0');
    }));
    equal((await db('knex_rows').orderBy('n')).map((row) => row.n), [1, 2]);
  }),

  'rows locked for update': () => opened(async (db) => {
    await freshTable(db);
    await db('knex_rows').insert({ owner: -1, n: 0 });
    await allClients(async () => {
      for (const _ of numbers(rounds)) {
        await db.transaction(async (tx) => {
          const { n } = await tx('knex_rows').where({ owner: -1 }).forUpdate().first();
          await tx('knex_rows').where({ owner: -1 }).update({ n: n + 1 });
        });
      }
    });
    equal((await db('knex_rows').first()).n, clients * rounds);
  }),

  streams: () => opened(async (db) => {
    const rows = await db.raw('SELECT g FROM generate_series(1, 2000) g');
    equal(rows.rows.reduce((sum, row) => sum + row.g, 0), (2000 * 2001) / 2);
  }),

  'settings made when a connection is': () => opened(async (db) => {
    await allClients(async () => {
      for (const _ of numbers(rounds)) {
        equal((await db.raw("SELECT current_setting('app.who') AS who, current_setting('TimeZone') AS zone")).rows, [{ who: 'knex', zone: 'Asia/Tokyo' }]);
      }
    });
  }, {
    afterCreate: (connection, done) => connection.query("SET app.who = 'knex'; SET TIME ZONE 'Asia/Tokyo'", (problem) => done(problem, connection)),
  }),
});
