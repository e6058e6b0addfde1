// The four endpoints with Express and Prisma: its models where it has them, and raw queries for the functions of the
// schema and for locks.

import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "@prisma/client";
import { serve } from "../node/accounts.mjs";
import { environment } from "../node/common.mjs";

function connect(role) {
  const adapter = new PrismaPg({
    host: environment.PEER_DB_HOST,
    port: Number(environment.PEER_DB_PORT),
    database: environment.PEER_DB_NAME,
    user: environment[`PEER_DB_${role}_USER`],
    password: environment[`PEER_DB_${role}_PASSWORD`],
    ssl: false,
    min: Number(environment.PEER_CONNECTIONS),
    max: Number(environment.PEER_CONNECTIONS),
  });
  return new PrismaClient({ adapter });
}
const clients = { auth: connect("AUTH"), api: connect("API") };

async function count(client, limits, window) {
  // As many places as keys: a list of bytes is none that it takes.
  const places = limits.map((_, nth) => `$${nth + 1}`).join(", ");
  const sql = `SELECT count_request(ARRAY[${places}]::bytea[], $${limits.length + 1}::timestamptz) AS counts`;
  const [row] = await client.$queryRawUnsafe(sql, ...limits, window);
  return row.counts;
}

const shown = (row) => ({
  user_id: row.userId,
  device_id: row.deviceId,
  platform: row.platform,
  identity_kind: row.identityKind,
  parent_id: row.parentId,
  ip: row.ip,
  user_agent: row.userAgent,
  has_push_token: false,
  created_at: row.createdAt,
  last_seen_at: row.lastSeenAt,
  idle_expires_at: row.idleExpiresAt,
  absolute_expires_at: row.absoluteExpiresAt,
  revoked_at: row.revokedAt,
  revoked_reason: row.revokedReason,
});

// What happens in one transaction.
const within = (tx) => ({
  async head(chain) {
    // The chain stays locked until the transaction ends.
    return await tx.auditChain.upsert({ where: { chain }, create: { chain }, update: { count: { increment: 0 } } });
  },
  async audit(values, details) {
    const [chain, seq, id, userId, action, resourceType, resourceId, , ip, requestId, createdAt, link] = values;
    await tx.auditChain.update({ where: { chain }, data: { count: seq, link } });
    const about = { userId, action, resourceType, resourceId, details, ip, requestId, createdAt, link };
    await tx.auditLog.create({ data: { chain, seq, id, ...about } });
  },
  async enter([userId, sessionId, now, isAdmin]) {
    const rows = await tx.$queryRaw`SELECT node_auth_at, signed_in_at, is_admin
      FROM enter_session(${userId}::uuid, ${sessionId}::uuid, ${now}::timestamptz, ${isAdmin})`;
    return rows[0];
  },
  async child([id, userId, parentId, refreshKeySealed, at, idle, absolute, ip, userAgent, ...device]) {
    const [deviceId, platform, idempotencyKey] = device;
    const rows = await tx.$queryRaw`SELECT identity_kind, identity_subject, absolute_expires_at FROM sessions
      WHERE id = ${parentId}::uuid AND user_id = ${userId}::uuid AND revoked_at IS NULL FOR SHARE`;
    const [parent] = rows;
    if (parent === undefined) return undefined;
    const least = (...times) => new Date(Math.min(...times.map((time) => new Date(time).getTime())));
    const who = { id, userId, parentId, identityKind: parent.identity_kind, identitySubject: parent.identity_subject };
    const times = { refreshedAt: at, createdAt: at, lastSeenAt: at };
    const idleExpiresAt = least(idle, absolute, parent.absolute_expires_at);
    const absoluteExpiresAt = least(absolute, parent.absolute_expires_at);
    const from = { ip, userAgent, deviceId, platform, idempotencyKey };
    const data = { ...who, refreshKeySealed, ...times, idleExpiresAt, absoluteExpiresAt, ...from };
    return shown(await tx.session.create({ data }));
  },
  async signedIn([userId, now]) {
    const noted = await tx.user.updateMany({ where: { id: userId, deletedAt: null }, data: { lastLoginAt: now } });
    if (noted.count !== 1) return undefined;
    return { admin: (await tx.admin.findUnique({ where: { userId } })) !== null };
  },
  async holdPassword([userId, hash]) {
    const rows = await tx.$queryRaw`SELECT 1 FROM passwords WHERE user_id = ${userId}::uuid AND hash = ${hash} FOR SHARE`;
    return rows.length === 1;
  },
  async session([id, userId, identityKind, identitySubject, , , refreshKeySealed, at, idle, absolute, ip, userAgent]) {
    const times = { refreshedAt: at, createdAt: at, lastSeenAt: at, idleExpiresAt: idle, absoluteExpiresAt: absolute };
    const data = { id, userId, identityKind, identitySubject, refreshKeySealed, ...times, ip, userAgent };
    await tx.session.create({ data });
  },
});

serve({
  async keys(now) {
    const unretired = { OR: [{ retireAt: null }, { retireAt: { gt: now } }] };
    const where = { publishAt: { lte: now }, ...unretired };
    const rows = await clients.api.signingKey.findMany({ where, orderBy: [{ signAt: "desc" }, { kid: "asc" }] });
    return rows.map(({ kid, jwk, signAt }) => ({ kid, jwk, sign_at: signAt }));
  },
  async me([userId, sessionId, now, isAdmin, key, window, quota]) {
    const rows = await clients.api.$queryRaw`SELECT requests, id, username, display_name, version, created_at, updated_at,
        last_login_at, last_active_at, is_admin, email, email_verified, discord_id, discord_username, privy_id, pubkey, dids
      FROM current_account(${userId}::uuid, ${sessionId}::uuid, ${now}::timestamptz, ${isAdmin}, ${key},
        ${window}::timestamptz, ${quota}::int)`;
    return rows[0];
  },
  async refreshable([limits, window, id, now]) {
    const counts = await count(clients.auth, limits, window);
    const user = { select: { deletedAt: true, admin: true } };
    const row = await clients.auth.session.findUnique({ where: { id }, include: { user } });
    if (row === null) return { counts, id: null };
    const at = new Date(now);
    return {
      counts,
      id,
      user_id: row.userId,
      refresh_key_sealed: Buffer.from(row.refreshKeySealed),
      refresh_counter: row.refreshCounter,
      refreshed_at: row.refreshedAt,
      absolute_expires_at: row.absoluteExpiresAt,
      is_deleted: row.user.deletedAt !== null,
      has_ended: row.revokedAt !== null || row.idleExpiresAt <= at || row.absoluteExpiresAt <= at,
      is_admin: row.user.admin !== null,
    };
  },
  async rotate(id, counter, now, until) {
    const data = { refreshCounter: { increment: 1 }, refreshedAt: now, lastSeenAt: now, idleExpiresAt: until };
    const where = { id, refreshCounter: counter, revokedAt: null };
    return (await clients.auth.session.updateMany({ where, data })).count === 1;
  },
  count: (role, limits, window) => count(clients[role], limits, window),
  async byEmail(subject) {
    const user = { select: { deletedAt: true, password: true } };
    const where = { kind: "email", subject, retiredAt: null };
    const row = await clients.auth.identity.findFirst({ where, include: { user } });
    if (row === null) return undefined;
    return { user_id: row.userId, deleted_at: row.user.deletedAt, hash: row.user.password?.hash ?? null };
  },
  transaction: (role, work) => clients[role].$transaction((tx) => work(within(tx)), { maxWait: 30_000, timeout: 30_000 }),
});
