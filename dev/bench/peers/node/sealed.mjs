// What a session's refresh tokens are made of: a key of its own, sealed in its row, and MACs with it.

import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from "node:crypto";
import { environment, random, uuidText } from "./common.mjs";

const sealingKey = JSON.parse(environment.PEER_SEALING).keys[0];
const sealHeader = Buffer.from([1, 0, 0, 0, 0]);
sealHeader.writeUInt32BE(sealingKey.id, 1);
const root = Buffer.from(sealingKey.key, "base64");
const subkey = Buffer.from(hkdfSync("sha256", root, Buffer.alloc(0), "satchel:v1:refresh-key", 32));
const tokenVersion = Buffer.from([1]);

function part(bytes) {
  const length = Buffer.alloc(8);
  length.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([length, bytes]);
}

const place = Buffer.concat([part(Buffer.from("sessions")), part(Buffer.from("refresh_key_sealed"))]);

export function seal(sessionId, key) {
  const nonce = random(12);
  const cipher = createCipheriv("aes-256-gcm", subkey, nonce);
  cipher.setAAD(Buffer.concat([place, part(sessionId), sealHeader]));
  return Buffer.concat([sealHeader, nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
}

export function open(sessionId, sealed) {
  const [head, nonce] = [sealed.subarray(0, 5), sealed.subarray(5, 17)];
  const decipher = createDecipheriv("aes-256-gcm", subkey, nonce);
  decipher.setAAD(Buffer.concat([place, part(sessionId), head]));
  decipher.setAuthTag(sealed.subarray(sealed.length - 16));
  return Buffer.concat([decipher.update(sealed.subarray(17, sealed.length - 16)), decipher.final()]);
}

export function mac(key, parts) {
  const hmac = createHmac("sha256", key);
  for (const piece of parts) {
    const length = Buffer.alloc(8);
    length.writeUInt32BE(Buffer.byteLength(piece), 4);
    hmac.update(length).update(piece);
  }
  return hmac.digest();
}

export function tagOf(sessionId, counter, key) {
  return mac(key, [tokenVersion, sessionId, counter]).subarray(0, 16);
}

export function refreshToken(sessionId, count, key) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(count));
  return Buffer.concat([tokenVersion, sessionId, counter, tagOf(sessionId, counter, key)]).toString("base64url");
}

// Undefined for what cannot be one.
export function parseRefreshToken(text) {
  if (typeof text !== "string" || text.length !== 55) return undefined;
  const bytes = Buffer.from(text, "base64url");
  if (bytes.length !== 41 || bytes[0] !== 1) return undefined;
  const [sessionId, counter, tag] = [bytes.subarray(1, 17), bytes.subarray(17, 25), bytes.subarray(25)];
  return { sessionId, id: uuidText(sessionId), counter, count: Number(counter.readBigInt64BE()), tag };
}
