// What both Express servers share: the four endpoints over a store of their own.
//
// POST /v1/nothing is the least a server can be: it takes the same body and answers.

import { createPrivateKey, createPublicKey, timingSafeEqual } from "node:crypto";
import { writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { hash as hashPassword, verify as verifyPassword } from "@node-rs/argon2";
import express from "express";
import jwt from "jsonwebtoken";
import { environment, metric, newId, random, sha256, uuidText } from "./common.mjs";
import { mac, open, parseRefreshToken, refreshToken, seal, tagOf } from "./sealed.mjs";

const issuer = environment.ISSUER_URL;
const audience = environment.TOKEN_AUDIENCE;
const accessTtl = Number(environment.ACCESS_TTL_SECONDS);
const day = 86_400_000;
const idle = Number(environment.SESSION_IDLE_DAYS) * day;
const absolute = Number(environment.SESSION_ABSOLUTE_DAYS) * day;
const grace = 60_000;
const keysKept = 60_000;
const quota = 1_000_000;
const emailForm = /^[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)+$/;
const uuidForm = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const platforms = new Set(["web", "ios", "android"]);
const cost = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };

// Everything that can be parsed or derived once is.
const signing = new Map();
for (const { kid, alg, private_key: pem } of JSON.parse(environment.PEER_SIGNING).keys) {
  signing.set(kid, { key: createPrivateKey(pem), options: { algorithm: alg, header: { kid, typ: "at+jwt" } } });
}
const auditKey = Buffer.from(JSON.parse(environment.PEER_AUDIT).key, "base64");

class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const unauthenticated = () => new Refused(401, "UNAUTHENTICATED", "a valid access token is needed");
const rejected = () => new Refused(401, "REFRESH_REJECTED", "this refresh token is not good; sign in again");
const invalid = (field) => new Refused(400, "VALIDATION_FAILED", field);

const iso = (at) => new Date(at).toISOString();
const windowOf = (now) => iso(now - (now % 60_000));
const limitKey = (scope, subject) => sha256(`${scope}\n${subject}`);

function judge(counts) {
  if (counts.some((count) => count > quota)) throw new Refused(429, "RATE_LIMITED", "too many requests");
}

// The published keys, read once a minute.
class Keys {
  #read;
  #readAt = 0;
  #rows = [];

  constructor(read) {
    this.#read = read;
  }

  async rows(now) {
    if (now - this.#readAt >= keysKept) {
      const rows = await this.#read(iso(now));
      this.#rows = rows.map(({ kid, jwk, sign_at: signAt }) => {
        const key = createPublicKey({ key: jwk, format: "jwk" });
        return { kid, signAt, alg: jwk.kty === "EC" ? "ES256" : "RS256", key };
      });
      this.#readAt = now;
    }
    return this.#rows;
  }
}

// The endpoints over `store`, whose methods are named after the statements.
export function serve(store) {
  const keys = new Keys(store.keys);

  async function claimsOf(request, now) {
    const [scheme, token] = (request.headers.authorization ?? "").split(" ");
    if (!/^bearer$/i.test(scheme) || token === undefined || token.length > 4096) throw unauthenticated();
    let header;
    try {
      header = JSON.parse(Buffer.from(token.slice(0, token.indexOf(".")), "base64url"));
    } catch {
      throw unauthenticated();
    }
    const known = (await keys.rows(now)).find((key) => key.kid === header.kid);
    if (known === undefined || header.typ !== "at+jwt" || header.crit !== undefined) throw unauthenticated();
    try {
      return jwt.verify(token, known.key, { algorithms: [known.alg], issuer, audience, clockTolerance: 5 });
    } catch {
      throw unauthenticated();
    }
  }

  async function accessToken(userId, session, admin, now) {
    const current = (await keys.rows(now)).find((key) => key.signAt <= now);
    const { key, options } = signing.get(current.kid);
    const issued = Math.floor(now / 1000);
    const times = { iat: issued, nbf: issued, exp: issued + accessTtl };
    const claims = { iss: issuer, aud: audience, sub: userId, sid: session, jti: uuidText(newId(now)), ...times };
    return jwt.sign({ ...claims, scope: admin ? "user admin" : "user" }, key, options);
  }

  function tokens(userId, sessionId, access, refresh) {
    const both = { accessToken: access, refreshToken: refresh };
    return { ...both, tokenType: "Bearer", expiresIn: accessTtl, sessionId, userId };
  }

  async function record(tx, userId, [action, type, id], details, { address, requestId, now }) {
    const head = await tx.head(userId);
    const [seq, rowId] = [Number(head.count) + 1, newId(now)];
    const [counted, micros] = [Buffer.alloc(8), Buffer.alloc(16)];
    counted.writeBigUInt64BE(BigInt(seq));
    micros.writeBigUInt64BE(BigInt(now) * 1000n, 8);
    const text = JSON.stringify(details);
    const texts = [action, type, id, text, address, requestId];
    const link = mac(auditKey, [Buffer.from("row"), head.link, userId, counted, rowId, userId, ...texts, micros]);
    await tx.audit([userId, seq, uuidText(rowId), userId, ...texts, iso(now), link], details);
  }

  async function me(request, response, { now }) {
    const claims = await claimsOf(request, now);
    const isAdmin = claims.scope === "user admin";
    const limits = [limitKey("session", claims.sid), windowOf(now), quota];
    const row = await store.me([claims.sub, claims.sid, iso(now), isAdmin, ...limits]);
    judge([row.requests]);
    if (row.id === null) throw unauthenticated();
    response.set("etag", `"v${row.version}"`);
    return {
      id: row.id,
      ...(row.username === null ? {} : { username: row.username }),
      displayName: row.display_name,
      email: row.email,
      emailVerified: row.email_verified,
      discordId: row.discord_id,
      discordUsername: row.discord_username,
      privyId: row.privy_id,
      pubkey: row.pubkey,
      dids: row.dids,
      version: Number(row.version),
      isAdmin: row.is_admin,
      sessionId: claims.sid,
      createdAt: row.created_at,
      updatedAt: row.updated_at,
      lastLoginAt: row.last_login_at,
      lastActiveAt: row.last_active_at,
    };
  }

  async function refresh(request, response, { address, now }) {
    const token = parseRefreshToken(request.body?.refreshToken);
    if (token === undefined) throw rejected();
    const limits = [limitKey("refresh:session", token.id), limitKey("refresh", address)];
    const row = await store.refreshable([limits, windowOf(now), token.id, iso(now)]);
    judge(row.counts);
    if (row.id === null) throw rejected();
    const key = open(token.sessionId, row.refresh_key_sealed);
    if (!timingSafeEqual(token.tag, tagOf(token.sessionId, token.counter, key))) throw rejected();
    if (row.is_deleted) throw new Refused(403, "ACCOUNT_DELETED", "this account is deleted");
    const behind = Number(row.refresh_counter) - token.count;
    // Ending a session that is in two hands is not measured.
    const isGood = behind === 0 || (behind === 1 && now - row.refreshed_at.getTime() <= grace);
    if (row.has_ended || !isGood) throw rejected();
    const next = refreshToken(token.sessionId, token.count + 1, key);
    const answer = tokens(row.user_id, token.id, await accessToken(row.user_id, token.id, row.is_admin, now), next);
    const until = new Date(Math.min(now + idle, row.absolute_expires_at.getTime()));
    if (behind === 0 && !(await store.rotate(token.id, token.count, iso(now), until.toISOString()))) {
      throw new Refused(503, "UNAVAILABLE", "somebody was quicker");
    }
    return answer;
  }

  async function sessions(request, response, { address, requestId, now }) {
    const { userId, deviceId, platform, idempotencyKey } = request.body ?? {};
    const fits = (text, most) => typeof text === "string" && text.length > 0 && text.length <= most;
    const bounded = (text, most) => text === undefined || fits(text, most);
    if (!bounded(deviceId, 128)) throw invalid("deviceId");
    if (!bounded(idempotencyKey, 255)) throw invalid("idempotencyKey");
    if (platform !== undefined && !platforms.has(platform)) throw invalid("platform");
    if (userId !== undefined && !uuidForm.test(userId)) throw invalid("userId");
    const claims = await claimsOf(request, now);
    judge(await store.count("api", [limitKey("session", claims.sid)], windowOf(now)));
    const [sessionId, key, at] = [newId(now), random(32), iso(now)];
    const id = uuidText(sessionId);
    const row = await store.transaction("api", async (tx) => {
      const entered = await tx.enter([claims.sub, claims.sid, at, claims.scope === "user admin"]);
      if (entered === undefined) throw unauthenticated();
      if (userId !== undefined && userId !== claims.sub) throw new Refused(403, "FORBIDDEN", "made by its owner");
      const lives = [iso(now + idle), iso(now + absolute)];
      const agent = request.headers["user-agent"]?.slice(0, 256) ?? null;
      const device = [deviceId ?? null, platform ?? null, idempotencyKey ?? null];
      const values = [id, claims.sub, claims.sid, seal(sessionId, key), at, ...lives, address, agent, ...device];
      const made = await tx.child(values);
      if (made === undefined) throw unauthenticated();
      const details = { parent: claims.sid, platform: platform ?? null };
      await record(tx, claims.sub, ["session.created", "session", id], details, { address, requestId, now });
      return made;
    });
    response.status(201).set("location", `/v1/sessions/${id}`);
    return {
      id,
      userId: row.user_id,
      status: "active",
      deviceId: row.device_id,
      platform: row.platform,
      identityKind: row.identity_kind,
      parentId: row.parent_id,
      ip: row.ip,
      userAgent: row.user_agent,
      hasPushToken: row.has_push_token,
      createdAt: row.created_at,
      lastSeenAt: row.last_seen_at,
      idleExpiresAt: row.idle_expires_at,
      absoluteExpiresAt: row.absolute_expires_at,
      revokedAt: row.revoked_at,
      revokedReason: row.revoked_reason,
      isCurrent: false,
      refreshToken: refreshToken(sessionId, 0, key),
    };
  }

  async function login(request, response, { address, requestId, now }) {
    const { email, password } = request.body ?? {};
    const subject = typeof email === "string" ? email.toLowerCase() : "";
    if (subject.length > 254 || !emailForm.test(subject)) throw invalid("email");
    if (typeof password !== "string" || password.length > 4096) throw invalid("password");
    const limits = [
      limitKey("login:address:account", `${address}\n${subject}`),
      limitKey("login", address),
    ];
    for (const keys of [limits, [limitKey("login:account", subject)]]) {
      judge(await store.count("auth", keys, windowOf(now)));
    }
    const account = await store.byEmail(subject);
    const normal = password.normalize("NFKC");
    const stored = account?.hash ?? null;
    const isRight = stored === null ? (await hashPassword(normal, cost), false) : await verifyPassword(stored, normal);
    if (!isRight) throw new Refused(401, "INVALID_CREDENTIALS", "e-mail or password is wrong");
    if (account.deleted_at !== null) throw new Refused(403, "ACCOUNT_DELETED", "this account is deleted");
    const [sessionId, key, at] = [newId(now), random(32), iso(now)];
    const id = uuidText(sessionId);
    const answer = await store.transaction("auth", async (tx) => {
      const noted = await tx.signedIn([account.user_id, at]);
      if (noted === undefined) throw new Refused(403, "ACCOUNT_DELETED", "this account is deleted");
      const stands = await tx.holdPassword([account.user_id, stored]);
      if (!stands) throw new Refused(503, "UNAVAILABLE", "the password changed");
      const until = [iso(now + idle), iso(now + absolute)];
      const agent = request.headers["user-agent"]?.slice(0, 256) ?? null;
      const sealed = seal(sessionId, key);
      const who = [id, account.user_id, "email", subject, null, null, sealed, at];
      await tx.session([...who, ...until, address, agent, null, null]);
      const access = await accessToken(account.user_id, id, noted.admin, now);
      const about = ["session.created", "session", id];
      await record(tx, account.user_id, about, { by: "email" }, { address, requestId, now });
      return tokens(account.user_id, id, access, refreshToken(sessionId, 0, key));
    });
    metric("login", "SignInAccepted", now);
    return answer;
  }

  // One access line for each request, every answer in one form.
  const answering = (name, handle) => async (request, response) => {
    const [started, now] = [performance.now(), Date.now()];
    const requestId = uuidText(newId(now));
    const address = request.headers["x-bench-address"] ?? request.socket.remoteAddress;
    let body;
    try {
      body = await handle(request, response, { address, requestId, now });
    } catch (error) {
      response.status(error instanceof Refused ? error.status : 500);
      body = { success: false, error: error.code ?? "INTERNAL", message: error.message, requestId };
    }
    const times = { timestamp: iso(now), duration_us: Math.round((performance.now() - started) * 1000) };
    const about = { function: name, request_id: requestId, status: response.statusCode };
    const line = { ...times, level: "INFO", target: "access", ...about, route: `${request.method} ${request.path}` };
    writeSync(1, `${JSON.stringify(line)}\n`);
    response.set({ "x-request-id": requestId, "cache-control": "no-store" }).json(body);
  };

  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  const json = express.json({ limit: "64kb" });
  app.get("/v1/auth/me", answering("get_me", me));
  app.post("/v1/auth/refresh", json, answering("refresh_session", refresh));
  app.post("/v1/sessions", json, answering("sessions", sessions));
  app.post("/v1/auth/login", json, answering("login", login));
  app.post("/v1/nothing", json, (request, response) => {
    response.json({});
  });
  const server = app.listen(0, "127.0.0.1", 1024, () => {
    writeSync(1, `listening on ${server.address().port}\n`);
  });
  server.keepAliveTimeout = 0;
}
