// What both endpoints of signing in share: the connection, the statements, requests in and answers out.

import { writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import pg from "pg";
import { environment, named, sha256 } from "./common.mjs";
import { run } from "./runtime.mjs";

export * from "./common.mjs";
const perDid = Number(environment.RATE_LIMIT_SIGN_IN_PER_DID);
const perAddress = Number(environment.RATE_LIMIT_SIGN_IN_PER_ADDRESS);
const mnemonic = /^did:mnemonic:(?:[0-9a-f]{16}|[0-9a-f]{64})$/;
export const signIn = new Set([
  "default_registration",
  "litd_account_creation",
  "mnemonic_login",
  "qrcode_login",
  "privkey_login",
  "securestorage_login",
]);

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let client;

export async function connect() {
  if (client === undefined) {
    const connecting = new pg.Client({
      host: environment.PEER_DB_HOST,
      port: Number(environment.PEER_DB_PORT),
      database: environment.PEER_DB_NAME,
      user: environment.PEER_DB_USER,
      password: environment.PEER_DB_PASSWORD,
      ssl: false,
    });
    await connecting.connect();
    client = connecting;
  }
  return client;
}

export const query = (name, values) => client.query(named[name], values);
export const plain = (text) => client.query(text);

export function bodyOf(event) {
  let body;
  try {
    body = JSON.parse(event.body);
  } catch {
    throw new Refused(400, "MALFORMED_REQUEST", "the body is not JSON");
  }
  if (typeof body !== "object" || body === null) {
    throw new Refused(400, "VALIDATION_FAILED", "the body is not an object");
  }
  return typeof body.data === "object" && body.data !== null ? body.data : body;
}

export function didOf(body) {
  if (typeof body.did !== "string" || !mnemonic.test(body.did)) {
    throw new Refused(400, "VALIDATION_FAILED", "did");
  }
  return body.did;
}

// Counts the request against both limits, in a transaction of its own.
export async function count(scope, address, did, now) {
  const window = new Date(now - (now % 60_000)).toISOString();
  const keys = [sha256(`${scope}:did\n${address}\n${did}`), sha256(`${scope}\n${address}`)];
  const { rows } = await query("count", [keys, window]);
  const [ofDid, ofAddress] = rows[0].counts;
  if (ofDid > perDid || ofAddress > perAddress) {
    throw new Refused(429, "RATE_LIMITED", "too many requests");
  }
}

// One access line for each request, every answer in one form.
export function serve(name, answer) {
  return run(async (event) => {
    const started = performance.now();
    const now = Date.now();
    const requestId = event.requestContext.requestId;
    let status = 200;
    let body;
    try {
      body = await answer(event, now);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      status = error.status;
      body = { success: false, error: error.code, message: error.message, requestId };
    }
    const line = {
      timestamp: new Date(now).toISOString(),
      level: "INFO",
      target: "access",
      function: name,
      request_id: requestId,
      route: event.routeKey,
      status,
      duration_us: Math.round((performance.now() - started) * 1000),
    };
    writeSync(1, `${JSON.stringify(line)}\n`);
    const headers = { "content-type": "application/json", "x-request-id": requestId, "cache-control": "no-store" };
    return { statusCode: status, headers, body: JSON.stringify(body), isBase64Encoded: false };
  });
}
