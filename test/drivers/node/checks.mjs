// What the Node programs share: where the database is, and a list of named checks that each end in time, printed as TAP.
import { isDeepStrictEqual, inspect } from 'node:util';

const number = (name) => Number(process.env[name]);
export const clients = number('DRIVERS_CLIENTS'); // more than the pool has servers
export const rounds = number('DRIVERS_ROUNDS');
const limitMs = number('DRIVERS_LIMIT_S') * 1000;

export const place = {
  host: process.env.PGHOST,
  port: number('PGPORT'),
  user: process.env.PGUSER,
  password: process.env.PGPASSWORD,
  database: process.env.PGDATABASE,
};

export function equal(got, want) {
  if (!isDeepStrictEqual(got, want)) throw new Error(`${inspect(got)}, not ${inspect(want)}`);
}

// Wants an error of the server with this SQLSTATE.
export async function fails(state, promise) {
  try {
    await promise;
  } catch (problem) {
    equal(problem.code, state);
    return problem;
  }
  throw new Error(`no error, not ${state}`);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} not done after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const allClients = (work) => Promise.all(Array.from({ length: clients }, (_, i) => work(i)));

export const numbers = (count) => Array.from({ length: count }, (_, i) => i);

export async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await within(limitMs, check(), 'it was');
      console.log(`ok - ${name}`);
    } catch (problem) {
      console.log(`not ok - ${name}: ${String(problem.message).split(/\s+/).join(' ')}`);
      console.log(String(problem.stack).replace(/^/gm, '# '));
    }
  }
  process.exit(0); // what hangs must not keep us
}

// A rejection that nobody waits for belongs to a check that has failed already.
process.on('unhandledRejection', (problem) => console.log(`# unhandled: ${problem?.message}`));
