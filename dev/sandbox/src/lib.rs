//! The outside world in one process: what Satchel talks to, able to misbehave.
//!
//! ```text
//! server            listens on 127.0.0.1, in the clear and over TLS; which service is meant; counts, faults, work
//!   ├─ secrets_manager   AWS Secrets Manager: POST / with `X-Amz-Target: secretsmanager.…`
//!   ├─ btcpay            BTCPay Server: /btcpay/api/v1/…, stores, invoices, webhooks that are really delivered
//!   ├─ stripe            Stripe: /stripe/v1/… and /stripe/v2/…, events that are really delivered, in no order
//!   ├─ discord           Discord: /discord/…, OAuth2 with somebody at the browser who agrees at once
//!   ├─ privy             Privy: /privy/v1/apps/…/jwks.json, and the tokens that go with it
//!   ├─ mail              Amazon SES: /ses/v2/…, and everybody's mailbox
//!   ├─ voltage           Voltage: /voltage/node…, machines with LND nodes on them
//!   ├─ lnd               LND nodes: /<node>/v1/…, real macaroons, signatures and invoices, wallets to be made
//!   └─ control           /sandbox/…: the same handles over HTTP, for another process
//! fault             script, chaos, absence     counts   every request and connection, all that was made and removed
//! world             what all of them share     seed     where every "random" byte comes from
//! ```
//!
//! A further service is a module with its state and an `answer`, and one variant of [`Service`]; the compiler
//! then names the places to fill in.
//!
//! The same seed and the same calls in the same order give the same keys, macaroons and ids. The certificate of the
//! TLS listener is another one each time.
//!
//! # Over HTTP
//!
//! What a program in another process may ask of the sandbox (bodies are JSON, errors are `{"error":"…"}`):
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /sandbox/nodes` | `{"name":"node12"}`, optional `"initialised"`, `"blackholed"`, `"public"` (booleans), `"secret_key"` (64 hex) | 201 a node; 409 when the name is taken |
//! | `GET /sandbox/nodes` | | `{"nodes":[…]}` |
//! | `GET /sandbox/nodes/{name}` | | `{"name","pubkey","base_url","admin_macaroon","invoice_macaroon"}` |
//! | `GET /sandbox/nodes/{name}/state` | | `{"state":"SERVER_ACTIVE"}` |
//! | `PUT /sandbox/nodes/{name}/start_up` | a [`StartUp`](lnd::StartUp): `{"unlocked":2,"rpc_active":1}` | the same |
//! | `POST /sandbox/nodes/{name}/restart` | | the wallet is locked then |
//! | `POST /sandbox/nodes/{name}/stranger` | | somebody else has made the wallet |
//! | `POST /sandbox/nodes/{name}/invoices/{r_hash}/settle` | | `{"preimage"}` (hex): somebody has paid |
//! | `PUT /sandbox/lnd` | optional `"network"` (`"mainnet"`, `"testnet"`, `"signet"`, `"regtest"`), `"start_up"` | for nodes made from now on |
//! | `GET /sandbox/tls` | | `{"base_url","certificate_sha256","certificate"}` |
//! | `POST /sandbox/tls` | | 201 the same, of a new certificate |
//! | `GET /sandbox/voltage` | | `{"nodes":[…]}` |
//! | `PUT /sandbox/voltage` | optional `"delay"` (`{"polls":1,"milliseconds":0}`), `"strangers_take_next"` | |
//! | `POST`, `DELETE /sandbox/voltage/keys` | `{"key"}` | the key is accepted, or no more |
//! | `PUT /sandbox/btcpay` | optional `"store_quota"` (`{"most":3}`, `"unlimited"`), `"loopback_allowed"`, `"synchronized"`, `"retry_waits_millis"` (`[10000,60000]`), `"retry_factor"` (`0.01`), `"answer_within_millis"`, `"drop_deliveries"`, `"deliver_twice"`, `"hold_deliveries"` (how many of the next), `"delay_millis"` | `{}` |
//! | `POST /sandbox/btcpay/keys` | `{"key","permissions":[…]}`, optional `"administrator"` | 201 `{"key"}`, accepted from now on |
//! | `DELETE /sandbox/btcpay/keys/{key}` | | `{}`, accepted no more; 404 when it was not |
//! | `GET /sandbox/btcpay/stores` | | `{"stores":[{"id","name","website","payment_method","webhooks","invoices"}]}` |
//! | `GET /sandbox/btcpay/stores/{id}` | | one of them |
//! | `GET /sandbox/btcpay/stores/{id}/invoices` | | `{"invoices":[{"id","order_id","status",…}]}` |
//! | `POST /sandbox/btcpay/stores/{id}/invoices/{id}/pay` | | `{}`; so `expire`, `invalidate`, and `settle` (both by hand) |
//! | `GET /sandbox/btcpay/deliveries` | | `{"deliveries":[{"id","original","event","status",…}]}`, those tried |
//! | `POST /sandbox/btcpay/deliveries/{id}/redeliver` | | `{"id"}` of the new one |
//! | `POST /sandbox/btcpay/restart` | | `{}`; deliveries that wait in memory are lost |
//! | `POST /sandbox/btcpay/release` | | `{"released":2}`, deliveries held until now |
//! | `PUT /sandbox/btcpay/webhooks/{id}/secret` | `{"secret"}` | `{}` |
//! | `PUT /sandbox/stripe` | optional `"api_version"`, `"livemode"`, `"retry_waits_millis"`, `"retry_factor"`, `"answer_within_millis"`, `"delay_millis"`, `"scatter_millis"`, `"drop_deliveries"`, `"deliver_twice"`, `"hold_deliveries"`, `"sign_stale"` (`[2,600]`: how many, seconds), `"stop_clock"`, `"step_clock"` | `{}` |
//! | `POST /sandbox/stripe/endpoints` | a [`NewEndpoint`](stripe::NewEndpoint): `{"url","secret","connect":true}` | 201 `{"id"}` |
//! | `POST /sandbox/stripe/endpoints/{id}/rotate` | `{"secret"}`, optional `"keep_old_millis"` | `{}` |
//! | `POST /sandbox/stripe/accounts` | | 201 `{"id"}` |
//! | `POST /sandbox/stripe/payouts` | `{"amount","currency"}`, optional `"account"` | 201 `{"id"}` |
//! | `GET /sandbox/stripe/objects/{id}` | | the object |
//! | `POST /sandbox/stripe/objects/{id}/{act}` | what the act needs of `"amount"`, `"status"`, `"state"`, `"paid"` | `{}`, or 201 `{"id"}` of what it made; acts are those of [`Stripe`](stripe::Stripe): `pay`, `refund`, `move_dispute` … |
//! | `GET /sandbox/stripe/events`, `…/events/{object}` | | `{"events":[{"id","kind","account","created","thin","object"}]}` |
//! | `GET /sandbox/stripe/deliveries` | | `{"deliveries":[{"endpoint","event","kind","status","error"}]}`, those tried |
//! | `POST /sandbox/stripe/release` | | `{"released":2}`, deliveries held until now |
//! | `POST /sandbox/discord/person` | a [`Person`](discord::Person): `{"id","username"}`, optional `"email"`, `"verified"` | `{}`; who sits at the browser from now on |
//! | `POST /sandbox/discord/deny` | | `{}`; they say no to the next request |
//! | `POST /sandbox/privy/tokens` | a [`PrivyPerson`](privy::PrivyPerson): `{"name"}`, optional `"email"`, `"wallet"` | 201 `{"id","access","identity"}` |
//! | `POST /sandbox/privy/rotate` | | `{}`; there is another key |
//! | `GET /sandbox/mail`, `…/mail/{address}` | | `{"letters":[{"id","from","to","subject","text"}]}`, oldest first |
//! | `PUT`, `DELETE /sandbox/mail/{address}/refused` | `{"code":"MessageRejected"}`; none | `{}`; nothing is sent there, or again |
//! | `GET /sandbox/calls` | | `{"calls":[{"service","method","path","count"}],"objects":[{"service","kind","created","deleted"}]}` |
//! | `GET /sandbox/faults` | | `{"faults":[…]}`, those still to fire |
//! | `POST /sandbox/faults` | a [`Fault`] | 201 the fault |
//! | `DELETE /sandbox/faults` | | 204, everything behaves again: no fault, no chaos, nobody away |
//! | `GET /sandbox/services` | | `{"services":[{"service","away","chaos","struck"}],"connections":{"open","highest","accepted"}}` |
//! | `PUT /sandbox/services/{service}` | `{"away":true}` | one of them; its connections are closed until `{"away":false}` |
//! | `PUT /sandbox/services/{service}/chaos` | a [`Chaos`]: `{"seed":7,"fraction":0.3,"kinds":["garbage",{"late":{"millis":50}}]}` | one of them |
//! | `DELETE /sandbox/services/{service}/chaos` | | 204 |
//!
//! A fault, with every member but `misbehave` optional:
//!
//! ```json
//! {"route":{"service":"lnd","method":"POST","path":"/node12/v1/signmessage"},
//!  "when":{"times":2},
//!  "misbehave":{"fail_before":{"status":503,"body":"busy"}}}
//! ```
//!
//! `service` is `secrets_manager`, `btcpay`, `voltage`, `stripe`, `discord`, `privy`, `mail` or `lnd`; `path` is a prefix; `when` is `"always"`,
//! `{"times":n}` or `{"probability":0.1}`; `misbehave` is one of [`Misbehaviour`]:
//!
//! | `misbehave` | the work is done | the answer |
//! |---|---|---|
//! | `{"fail_before":{"status":503,"body":"busy"}}` | never | that |
//! | `{"fail_after":{"status":504,"body":"late"}}` | once | that |
//! | `{"stall":{"millis":900}}` | once, after so long | its own |
//! | `{"stall_after":{"millis":900}}` | once, at once | its own, after so long |
//! | `{"cut_body":{"bytes":9}}` | once | only so much of it, then the connection is closed |
//! | `"garbage"` | once | 200, and no JSON |
//! | `"duplicate"` | twice | the second one's |
//! | `"duplicate_id"` | once | what an earlier POST of the same path was answered |
//! | `"close_before"`, `"close_after"` | never, once | none: the connection is closed |
//! | `{"late":{"millis":900}}` | once, after so long | none: the connection is closed at once |
//! | `{"rate_limited":{"retry_after":7}}` | never | 429 with `Retry-After` |
//! | `{"quote":{"status":422}}` | never | that, its message the credentials and the body of the request |
//! | `"hang"` | never | none, and the connection stays open |
//!
//! Of one request first absence decides, then the script, then chaos.

pub mod btcpay;
mod clock;
mod control;
mod counts;
pub mod discord;
mod fault;
pub mod lnd;
pub mod mail;
mod post;
pub mod privy;
mod reply;
pub mod secrets_manager;
mod seed;
mod server;
mod service;
pub mod stripe;
pub mod voltage;
mod world;

pub use counts::{Call, Connections, Objects};
pub use discord::{
    CLIENT_ID as DISCORD_CLIENT_ID, CLIENT_SECRET as DISCORD_CLIENT_SECRET,
    REDIRECT_URI as DISCORD_REDIRECT_URI,
};
pub use fault::{Chaos, Fault, Faults, Misbehaviour, Route, When};
pub use privy::APP_ID as PRIVY_APP_ID;
pub use server::{Sandbox, SandboxOptions};
pub use service::Service;
pub use stripe::{
    CONNECT_SECRET as STRIPE_CONNECT_SECRET, KEY as STRIPE_KEY, PLATFORM_SECRET as STRIPE_PLATFORM_SECRET,
};
pub use world::Handle;
