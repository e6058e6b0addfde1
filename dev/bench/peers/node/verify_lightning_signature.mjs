// POST /v1/challenges/verify in Node: sign-in of an account that has the DID.

import { createCipheriv, createHmac, hkdfSync } from "node:crypto";
import * as secp256k1 from "@noble/secp256k1";
import { SignJWT, importPKCS8 } from "jose";
import { Refused, bodyOf, connect, count, didOf, environment, metric, newId, plain, query, random } from "./peer.mjs";
import { serve, sha256, signIn, uuidText } from "./peer.mjs";

const issuer = environment.ISSUER_URL;
const audience = environment.TOKEN_AUDIENCE;
const accessTtl = Number(environment.ACCESS_TTL_SECONDS);
const day = 86_400_000;
const idle = Number(environment.SESSION_IDLE_DAYS) * day;
const absolute = Number(environment.SESSION_ABSOLUTE_DAYS) * day;
const keysKept = 60_000;
const maxWrongAnswers = 10;
const uuidForm = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

// Everything that can be parsed or derived once is.
const signing = new Map();
for (const { kid, alg, private_key: pem } of JSON.parse(environment.PEER_SIGNING).keys) {
  signing.set(kid, { key: await importPKCS8(pem, alg), header: { alg, kid, typ: "at+jwt" } });
}
const sealingKey = JSON.parse(environment.PEER_SEALING).keys[0];
const sealingId = Buffer.alloc(4);
sealingId.writeUInt32BE(sealingKey.id);
const root = Buffer.from(sealingKey.key, "base64");
const subkey = Buffer.from(hkdfSync("sha256", root, Buffer.alloc(0), "satchel:v1:refresh-key", 32));
const auditKey = Buffer.from(JSON.parse(environment.PEER_AUDIT).key, "base64");

const alphabet = new Map([..."ybndrfg8ejkmcpqxot1uwisza345h769"].map((letter, index) => [letter.charCodeAt(0), index]));
const values = new Int8Array(256).fill(-1);
for (const [code, index] of alphabet) values[code] = index;
const order = Buffer.from("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", "hex");
const halfOrder = Buffer.from("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", "hex");
const zero = Buffer.alloc(32);

function rejected(message) {
  return new Refused(401, "SIGNATURE_REJECTED", message);
}

// zbase32: 104 characters of 5 bits are 65 bytes.
function decode(text) {
  if (typeof text !== "string" || text.length !== 104) throw rejected("form");
  const bytes = Buffer.allocUnsafe(65);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let index = 0; index < 104; index += 1) {
    const value = values[text.charCodeAt(index) & 0xff];
    if (value < 0 || text.charCodeAt(index) > 0x7f) throw rejected("form");
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at] = held >> bits;
      at += 1;
    }
  }
  return bytes;
}

// The compressed key, in hex, that made the signature over the text.
function recover(title, signature) {
  const packed = decode(signature);
  const [header, r, s] = [packed[0], packed.subarray(1, 33), packed.subarray(33)];
  const inRange = !r.equals(zero) && r.compare(order) < 0 && !s.equals(zero) && s.compare(halfOrder) <= 0;
  if (header < 31 || header > 34 || !inRange) throw rejected("range");
  const digest = sha256(sha256(`Lightning Signed Message:${title}`));
  packed[0] = header - 31;
  try {
    const key = secp256k1.recoverPublicKey(packed, digest, { prehash: false });
    return Buffer.from(key).toString("hex");
  } catch {
    throw rejected("no key");
  }
}

function mac(key, parts) {
  const hmac = createHmac("sha256", key);
  for (const part of parts) {
    const length = Buffer.alloc(8);
    length.writeUInt32BE(Buffer.byteLength(part), 4);
    hmac.update(length).update(part);
  }
  return hmac.digest();
}

function seal(sessionId, key) {
  const pieces = [];
  for (const part of [Buffer.from("sessions"), Buffer.from("refresh_key_sealed"), sessionId]) {
    const length = Buffer.alloc(8);
    length.writeUInt32BE(part.length, 4);
    pieces.push(length, part);
  }
  const header = Buffer.concat([Buffer.from([1]), sealingId]);
  const nonce = random(12);
  const cipher = createCipheriv("aes-256-gcm", subkey, nonce);
  cipher.setAAD(Buffer.concat([...pieces, header]));
  return Buffer.concat([header, nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
}

let published = { readAt: 0, rows: [] };

async function signingKey(now) {
  if (now - published.readAt >= keysKept) {
    const { rows } = await query("keys", [new Date(now).toISOString()]);
    published = { readAt: now, rows };
  }
  return published.rows.find((row) => row.sign_at <= now).kid;
}

async function answer(event, now) {
  const body = bodyOf(event);
  const did = didOf(body);
  if (typeof body.challenge_id !== "string" || !uuidForm.test(body.challenge_id)) {
    throw new Refused(400, "VALIDATION_FAILED", "challenge_id");
  }
  await connect();
  const context = event.requestContext;
  await count("verify_lightning_signature", context.http.sourceIp, did, now);

  const at = new Date(now).toISOString();
  const challenge = (await query("find", [body.challenge_id, did, at])).rows[0];
  if (challenge === undefined) throw new Refused(410, "CHALLENGE_GONE", "unknown, used or expired");
  if (challenge.wrong_answers >= maxWrongAnswers) throw new Refused(429, "RATE_LIMITED", "too many wrong answers");
  const signer = recover(challenge.title, body.signature);
  if (!signIn.has(challenge.challenge_type) || challenge.account_pubkey !== signer) throw rejected("another key");

  await plain("START TRANSACTION");
  let data;
  try {
    const spent = await query("confirm", [challenge.id, did, at, maxWrongAnswers]);
    if (spent.rowCount !== 1) throw new Refused(410, "CHALLENGE_GONE", "the challenge is used");
    const noted = await query("login", [challenge.account_id, at, signer]);
    if (noted.rowCount !== 1 || noted.rows[0].deleted) throw new Refused(410, "CHALLENGE_GONE", "the node was rebound");
    await record(context, challenge, did, signer, now);
    data = await openSession(event, did, signer, challenge.account_id, now);
  } catch (error) {
    await plain("ROLLBACK");
    throw error;
  }
  await plain("COMMIT");
  metric("verify_lightning_signature", "SignInAccepted", now);
  return { data };
}

async function openSession(event, did, signer, userId, now) {
  const [sessionId, key, at] = [newId(now), random(32), new Date(now).toISOString()];
  const session = uuidText(sessionId);
  const until = [new Date(now + idle).toISOString(), new Date(now + absolute).toISOString()];
  const agent = event.headers["user-agent"]?.slice(0, 256) ?? null;
  const sealed = seal(sessionId, key);
  const address = event.requestContext.http.sourceIp;
  await query("session", [session, userId, "did", did, signer, at, sealed, at, ...until, address, agent, null, null]);
  const counter = Buffer.alloc(8);
  const version = Buffer.from([1]);
  const tag = mac(key, [version, sessionId, counter]).subarray(0, 16);
  const refreshToken = Buffer.concat([version, sessionId, counter, tag]).toString("base64url");

  const { key: privateKey, header } = signing.get(await signingKey(now));
  const issued = Math.floor(now / 1000);
  const times = { iat: issued, nbf: issued, exp: issued + accessTtl };
  const claims = { iss: issuer, aud: audience, sub: userId, sid: session, jti: uuidText(newId(now)), ...times };
  const accessToken = await new SignJWT({ ...claims, scope: "user" }).setProtectedHeader(header).sign(privateKey);
  const tokens = { customToken: accessToken, accessToken, refreshToken };
  return { ...tokens, expiresIn: accessTtl, did, lightning_pubkey: signer };
}

async function record(context, challenge, did, signer, now) {
  const chain = challenge.account_id;
  const head = (await query("head", [chain])).rows[0];
  const [seq, id] = [Number(head.count) + 1, newId(now)];
  const [counted, micros] = [Buffer.alloc(8), Buffer.alloc(16)];
  counted.writeBigUInt64BE(BigInt(seq));
  micros.writeBigUInt64BE(BigInt(now) * 1000n, 8);
  const details = JSON.stringify({ did, pubkey: signer, type: challenge.challenge_type });
  const [address, requestId] = [context.http.sourceIp, context.requestId];
  const texts = ["session.created", "challenge", challenge.id, details, address, requestId];
  const link = mac(auditKey, [Buffer.from("row"), head.link, chain, counted, id, chain, ...texts, micros]);
  const row = [chain, seq, uuidText(id), chain, ...texts, new Date(now).toISOString(), link];
  await query("audit", row);
}

await serve("verify_lightning_signature", answer);
