// What every peer shares: the statements, ids, metrics.

import { createHash, randomFillSync } from "node:crypto";
import { readFileSync, writeSync } from "node:fs";

export const environment = process.env;
const statements = JSON.parse(readFileSync(new URL("./statements.json", import.meta.url), "utf8"));
// Prepared once per connection, under the statement's name.
export const named = Object.fromEntries(Object.entries(statements).map(([name, text]) => [name, { name, text }]));

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

// Random bytes are drawn a page at a time: one call into OpenSSL serves many requests.
const pool = Buffer.allocUnsafe(4096);
let used = pool.length;

export function random(length) {
  if (used + length > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const bytes = Buffer.from(pool.subarray(used, used + length));
  used += length;
  return bytes;
}

// UUIDv7, as bytes.
export function newId(now) {
  const id = Buffer.allocUnsafe(16);
  id.writeUIntBE(now, 0, 6);
  random(10).copy(id, 6);
  id[6] = (id[6] & 0x0f) | 0x70;
  id[8] = (id[8] & 0x3f) | 0x80;
  return id;
}

export function uuidText(id) {
  const hex = id.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export function metric(name, metricName, now) {
  const directive = { Namespace: "Satchel", Dimensions: [["Function"]], Metrics: [{ Name: metricName, Unit: "Count" }] };
  const aws = { Timestamp: now, CloudWatchMetrics: [directive] };
  writeSync(1, `${JSON.stringify({ _aws: aws, Function: name, [metricName]: 1 })}\n`);
}
