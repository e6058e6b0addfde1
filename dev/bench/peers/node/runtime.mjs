// A Runtime API client of our own, on undici's keep-alive client: npm's aws-lambda-ric needs cmake and autotools
// to install. It does what a runtime must and no more, in Node's favour.

import { Client } from "undici";

const [, origin, prefix] = /^(?:http:\/\/)?([^/]+)(\/.*)?$/.exec(process.env.AWS_LAMBDA_RUNTIME_API);
const client = new Client(`http://${origin}`, { headersTimeout: 0, bodyTimeout: 0, pipelining: 1 });
const base = `${prefix ?? ""}/2018-06-01/runtime/invocation`;

export async function run(handler) {
  for (;;) {
    const next = await client.request({ method: "GET", path: `${base}/next` });
    const id = next.headers["lambda-runtime-aws-request-id"];
    const event = await next.body.json();
    let path = `${base}/${id}/response`;
    let answer;
    try {
      answer = await handler(event);
    } catch (error) {
      path = `${base}/${id}/error`;
      answer = { errorType: error.name, errorMessage: String(error.stack) };
    }
    const sent = await client.request({ method: "POST", path, body: JSON.stringify(answer) });
    await sent.body.dump();
  }
}
