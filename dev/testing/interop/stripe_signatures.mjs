// Signs and verifies with npm's `stripe`: one list of jobs on standard input, one list of results on standard output.
// Bodies are base64, so that they arrive as the bytes they are.

import Stripe from "stripe";

const stripe = new Stripe("sk_test_that_calls_nobody");

function sign({ body, secret, at }) {
  const payload = Buffer.from(body, "base64").toString("utf8");
  return { header: stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp: at }) };
}

function verify({ body, secret, header }) {
  const bytes = Buffer.from(body, "base64");
  const isThin = JSON.parse(bytes).object === "v2.core.event";
  try {
    const event = isThin
      ? stripe.parseEventNotification(bytes, header, secret)
      : stripe.webhooks.constructEvent(bytes, header, secret);
    return { event: event.id };
  } catch (error) {
    return { refused: error.type };
  }
}

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const jobs = JSON.parse(Buffer.concat(chunks));
console.log(JSON.stringify(jobs.map((job) => ("header" in job ? verify(job) : sign(job)))));
