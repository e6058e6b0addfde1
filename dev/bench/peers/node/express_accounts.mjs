// The four endpoints with Express and pg: the statements of our functions, prepared under their names.

import pg from "pg";
import { serve } from "./accounts.mjs";
import { environment, named } from "./common.mjs";

const pool = (role) =>
  new pg.Pool({
    host: environment.PEER_DB_HOST,
    port: Number(environment.PEER_DB_PORT),
    database: environment.PEER_DB_NAME,
    user: environment[`PEER_DB_${role}_USER`],
    password: environment[`PEER_DB_${role}_PASSWORD`],
    ssl: false,
    min: Number(environment.PEER_CONNECTIONS),
    max: Number(environment.PEER_CONNECTIONS),
  });
const pools = { auth: pool("AUTH"), api: pool("API") };

const run = (client, name, values) => client.query({ ...named[name], values });
const one = async (client, name, values) => (await run(client, name, values)).rows[0];

// Statements of a transaction.
const within = (client) => ({
  head: (chain) => one(client, "head", [chain]),
  audit: (values) => run(client, "audit", values),
  enter: (values) => one(client, "enter", values),
  child: (values) => one(client, "child", values),
  signedIn: (values) => one(client, "signed_in", values),
  holdPassword: async (values) => (await run(client, "hold_password", values)).rowCount === 1,
  session: (values) => run(client, "session", values),
});

async function transaction(role, work) {
  const client = await pools[role].connect();
  try {
    await client.query("START TRANSACTION");
    const done = await work(within(client));
    await client.query("COMMIT");
    client.release();
    return done;
  } catch (error) {
    // A refusal leaves the connection as it is, once the transaction is over.
    await client.query("ROLLBACK").then(() => client.release(), (lost) => client.release(lost));
    throw error;
  }
}

serve({
  keys: async (now) => (await run(pools.api, "keys", [now])).rows,
  me: (values) => one(pools.api, "me", values),
  refreshable: (values) => one(pools.auth, "refreshable", values),
  rotate: async (id, counter, now, until) => (await run(pools.auth, "rotate", [id, counter, now, until])).rowCount === 1,
  count: async (role, limits, window) => (await one(pools[role], "count", [limits, window])).counts,
  byEmail: (subject) => one(pools.auth, "by_email", [subject]),
  transaction,
});
