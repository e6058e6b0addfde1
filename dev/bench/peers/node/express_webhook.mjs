// POST /v1/webhooks/stripe with Express: the one transaction of `stripe_webhook`, for events about payment intents.
//
// POST /nothing is the least a server can be: it takes the same body and answers.

import { createCipheriv, hkdfSync } from "node:crypto";
import { writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import express from "express";
import pg from "pg";
import Stripe from "stripe";
import { environment, metric, named, newId, random, sha256, uuidText } from "./common.mjs";

const secret = JSON.parse(environment.PEER_STRIPE).platform[0];
const sealingKey = JSON.parse(environment.PEER_SEALING).keys[0];
const header = Buffer.from([1, 0, 0, 0, 0]);
header.writeUInt32BE(sealingKey.id, 1);
const root = Buffer.from(sealingKey.key, "base64");
const subkey = Buffer.from(hkdfSync("sha256", root, Buffer.alloc(0), "satchel:v1:webhook-body", 32));

const pool = new pg.Pool({
  host: environment.PEER_DB_HOST,
  port: Number(environment.PEER_DB_PORT),
  database: environment.PEER_DB_NAME,
  user: environment.PEER_DB_USER,
  password: environment.PEER_DB_PASSWORD,
  ssl: false,
  min: Number(environment.PEER_CONNECTIONS),
  max: Number(environment.PEER_CONNECTIONS),
  // What does not wait for an answer is sent at once, as ours is.
  pipeline: true,
});

const at = (seconds) => new Date(seconds * 1000).toISOString();
const rowsOf = async (client, name, values) => (await client.query({ ...named[name], values })).rows;
const run = (client, name, values) => client.query({ ...named[name], values });

function part(bytes) {
  const length = Buffer.alloc(8);
  length.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([length, bytes]);
}

const place = Buffer.concat([part(Buffer.from("webhook_events")), part(Buffer.from("body_sealed"))]);

function seal(id, body) {
  const nonce = random(12);
  const cipher = createCipheriv("aes-256-gcm", subkey, nonce);
  cipher.setAAD(Buffer.concat([place, part(id), header]));
  return Buffer.concat([header, nonce, cipher.update(body), cipher.final(), cipher.getAuthTag()]);
}

// The status as we have it, its finality and its rank.
function standing(intent) {
  switch (intent.status) {
    case "requires_payment_method":
      return intent.last_payment_error ? ["failed", 0, 2] : ["open", 0, 0];
    case "requires_confirmation":
    case "requires_action":
      return ["open", 0, 0];
    case "processing":
    case "requires_capture":
      return ["processing", 0, 1];
    case "canceled":
      return ["canceled", 1, 0];
    case "succeeded":
      return ["succeeded", 2, 0];
    default:
      return [intent.status, 0, -1];
  }
}

const uuidForm = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

// What the event says of its intent, as a row of payment_objects.
function heard(event) {
  const intent = event.data.object;
  const [status, finality, rank] = standing(intent);
  const reference = uuidForm.test(intent.metadata?.payment_id ?? "") ? intent.metadata.payment_id : null;
  const amount = status === "succeeded" ? intent.amount_received : intent.amount;
  const id = intent.id;
  const word = { object_id: id, root_id: id, reference, payment_id: null, status, amount_minor: amount, rank, finality };
  return { ...word, asked_minor: null, currency: intent.currency, seen_at: new Date(event.created * 1000), refetch_at: null };
}

const later = (one, other) =>
  one.finality - other.finality || one.seen_at - other.seen_at || one.rank - other.rank;

// What is on record once it is heard: the greater standing counts.
function merge(before, word) {
  if (before === undefined) return word;
  const kept = later(word, before) > 0 ? word : before;
  const refetch = later(word, before) === 0 && Number(before.amount_minor) !== word.amount_minor;
  const known = { reference: before.reference ?? word.reference, payment_id: before.payment_id, asked_minor: null };
  return { ...kept, ...known, refetch_at: refetch ? new Date() : before.refetch_at };
}

const begun = { open: 1, processing: 2, failed: 3, canceled: 3, succeeded: 4 };
const states = ["created", "open", "processing", "failed", "paid"];

// What a payment is that rests on intents alone.
function derive(objects) {
  const far = Math.max(0, ...objects.map((object) => begun[object.status] ?? 0));
  const paid = objects.filter((object) => object.status === "succeeded");
  return { state: states[far], received: paid.reduce((sum, object) => sum + Number(object.amount_minor), 0) };
}

function key(account, name) {
  return sha256(`stripe\n${account}\n${name}`).readBigInt64BE(0);
}

function lock(client, account, word) {
  const names = [...new Set([word.object_id, word.root_id, ...(word.reference ? [word.reference] : [])])];
  const keys = names.map((name) => key(account, name)).sort((a, b) => (a < b ? -1 : 1));
  return run(client, "lock", [keys]);
}

// What is asked together goes to Postgres together, and is answered there in this order.
async function observe(client, account, event, word, now) {
  const id = word.object_id;
  const hold = (payment) => rowsOf(client, "hold", [payment, "stripe", account]);
  const asked = [rowsOf(client, "known", ["stripe", account, [id, word.root_id]])];
  if (word.reference !== null) asked.push(hold(word.reference));
  const [known, held] = await Promise.all(asked);
  const object = merge(known.find((row) => row.object_id === id), word);
  const claimed = object.payment_id ?? object.reference;
  let payment = held?.[0];
  if (claimed !== null && payment?.id !== claimed) payment = (await hold(claimed))[0];
  const agrees = payment?.currency === object.currency;
  if (object.payment_id === null && !agrees) payment = undefined;
  object.payment_id ??= payment?.id ?? null;
  const { status, amount_minor: amount, asked_minor: least, finality, rank, refetch_at: refetch } = object;
  const value = [object.reference, object.payment_id, status, amount, least, 0, object.currency, false];
  const stood = [finality, object.seen_at.toISOString(), rank, refetch?.toISOString() ?? null, now];
  const writing = [run(client, "object", ["stripe", account, id, "payment_intent", object.root_id, ...value, ...stood])];
  if (word.status === "succeeded" && word.amount_minor !== 0) {
    const ledgerId = uuidText(newId(Date.parse(now)));
    const moved = [[ledgerId], [id], ["payment"], [id], [word.amount_minor], [word.currency]];
    const when = at(event.data.object.created);
    writing.push(run(client, "moved", ["stripe", account, ...moved, [when], now]));
  }
  const reading = payment === undefined ? Promise.resolve([]) : rowsOf(client, "objects", [payment.id]);
  const [objects] = await Promise.all([reading, ...writing]);
  if (payment !== undefined) await follow(client, payment, objects, now);
}

async function follow(client, payment, objects, now) {
  const { state, received } = derive(objects);
  if (state === payment.state && received === Number(payment.received_minor)) return;
  const paid = state === "paid";
  const change = [payment.id, state, received, 0, false, false, paid, paid, now];
  const writing = [run(client, "payment", change)];
  if (paid !== payment.entitled) {
    const topic = paid ? "entitlement.granted" : "entitlement.revoked";
    const ids = { payment_id: payment.id, user_id: payment.user_id };
    const payload = JSON.stringify({ ...ids, state, late: false, manually_marked: false });
    const id = uuidText(newId(Date.parse(now)));
    writing.push(run(client, "message", [id, topic, payment.id, Number(payment.version) + 1, payload, now]));
  }
  await Promise.all(writing);
}

// True when the event is new.
async function takeIn(event, body, now) {
  const at_ = new Date(now).toISOString();
  const id = newId(now);
  const account = event.account ?? "";
  const row = ["stripe", account, "", event.id, event.type, event.data.object.id, event.livemode, event.api_version];
  const fate = ["done", 0, null, null, at_, at_];
  const values = [uuidText(id), ...row, at(event.created), seal(id, body), ...fate];
  const client = await pool.connect();
  try {
    await client.query("START TRANSACTION");
    const word = heard(event);
    const [written] = await Promise.all([run(client, "event", values), lock(client, account, word)]);
    let isNew = written.rowCount === 1;
    if (!isNew) {
      const change = ["stripe", account, "", event.id, "done", null, null, at_, 0];
      isNew = (await run(client, "redirect", change)).rowCount === 1;
    }
    if (isNew) await observe(client, account, event, word, at_);
    await client.query("COMMIT");
    client.release();
    return isNew;
  } catch (error) {
    client.release(error);
    throw error;
  }
}

const app = express();
app.disable("x-powered-by");
app.disable("etag");
const raw = express.raw({ type: "application/json" });

app.post("/v1/webhooks/stripe", raw, async (request, response) => {
  const [started, now, id] = [performance.now(), Date.now(), uuidText(newId(Date.now()))];
  let status = 200;
  let answer = { received: true };
  try {
    const event = Stripe.webhooks.constructEvent(request.body, request.headers["stripe-signature"], secret);
    const isNew = await takeIn(event, request.body, now);
    metric("stripe_webhook", isNew ? "WebhookReceived" : "WebhookRepeated", now);
  } catch (error) {
    status = error.type === "StripeSignatureVerificationError" ? 400 : 503;
    answer = { success: false, error: error.name, message: error.message, requestId: id };
  }
  const times = { timestamp: new Date(now).toISOString(), duration_us: Math.round((performance.now() - started) * 1000) };
  const line = { ...times, level: "INFO", target: "access", function: "stripe_webhook", request_id: id, status };
  writeSync(1, `${JSON.stringify({ ...line, route: "POST /v1/webhooks/stripe" })}\n`);
  response.status(status).set({ "x-request-id": id, "cache-control": "no-store" }).json(answer);
});

app.post("/nothing", raw, (request, response) => {
  response.json({});
});

const server = app.listen(0, "127.0.0.1", () => {
  writeSync(1, `listening on ${server.address().port}\n`);
});
server.keepAliveTimeout = 0;
