// POST /v1/challenges in Node.

import { Refused, bodyOf, connect, count, didOf, environment, metric, newId, plain, query, random } from "./peer.mjs";
import { serve, signIn, uuidText } from "./peer.mjs";

const domain = environment.APP_DOMAIN;
const lifetime = Number(environment.CHALLENGE_TTL_SECONDS);

async function answer(event, now) {
  const body = bodyOf(event);
  const did = didOf(body);
  const kind = body.challenge_type;
  if (!signIn.has(kind)) throw new Refused(400, "VALIDATION_FAILED", "challenge_type");
  await connect();
  await count("challenge", event.requestContext.http.sourceIp, did, now);

  const issued = Math.floor(now / 1000);
  const expiresAt = new Date(now + lifetime * 1000).toISOString();
  await plain("START TRANSACTION");
  let id;
  let title;
  try {
    id = uuidText(newId(now));
    title =
      `satchel-login:v1\ndomain: ${domain}\npurpose: ${kind}\ndid: ${did}\nchallenge: ${id}\n` +
      `nonce: ${random(32).toString("hex")}\nissued: ${issued}\nexpires: ${issued + lifetime}`;
    const issuedAt = new Date(now).toISOString();
    await query("create", [id, did, kind, title, null, null, null, null, issuedAt, expiresAt]);
  } catch (error) {
    await plain("ROLLBACK");
    throw error;
  }
  await plain("COMMIT");
  metric("create_challenge", "ChallengeCreated", now);
  return { challenge: { challenge_id: id, title, expires_at: expiresAt } };
}

await serve("create_challenge", answer);
