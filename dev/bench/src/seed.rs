//! Accounts, challenges, and the events a client's requests become.
//!
//! Everything follows from two numbers, so that the `pgbench` script can name the same rows: the account is
//! `n % ACCOUNTS`, and ids and DIDs are the decimal digits of their number.

use crate::world::{DOMAIN, World};
use anyhow::Result;
use bytes::Bytes;
use data_encoding::Specification;
use gateway::http_event;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use serde_json::{Value, json};
use shared::challenge::{ChallengeType, NewChallenge, Purpose};
use shared::clock::Clock;
use shared::crypto::sha256;
use shared::lightning::{Did, signed_message};
use shared::random::Random;
use std::ops::Range;
use std::time::Duration;
use uuid::Uuid;

pub const ACCOUNTS: u64 = 1_000;
/// Long enough for any run; the functions take it from the row.
const LIFETIME: Duration = Duration::from_hours(24);
const AGENT: &str = "satchel-bench/1.0";

pub fn did(account: u64) -> String {
    format!("did:mnemonic:{account:016}")
}

fn id(n: u64) -> Result<Uuid> {
    Ok(format!("{n:032}").parse()?)
}

fn key(account: u64) -> Result<SecretKey> {
    Ok(SecretKey::from_slice(&sha256(format!("account {account}").as_bytes()))?)
}

pub fn pubkey(account: u64) -> Result<String> {
    Ok(PublicKey::from_secret_key(SECP256K1, &key(account)?).to_string())
}

pub async fn accounts(world: &World) -> Result<()> {
    let rows: Result<Vec<_>> = (0..ACCOUNTS)
        .map(|account| Ok(json!({ "id": id(account)?, "did": did(account), "key": pubkey(account)? })))
        .collect();
    let sql = "WITH a AS (SELECT * FROM json_to_recordset($1) AS a (id uuid, did text, key text)),
                    u AS (INSERT INTO users (id, created_at, updated_at) SELECT id, now(), now() FROM a)
               INSERT INTO identities (user_id, kind, subject, created_at)
               SELECT id, 'did', did, now() FROM a UNION ALL SELECT id, 'node', key, now() FROM a";
    insert(world, sql, &Value::from(rows?)).await
}

/// Open challenges for `numbers`, and the event of the right answer to each.
pub async fn answers(world: &World, numbers: Range<u64>) -> Result<Vec<Bytes>> {
    let (now, random) = (Clock::system().now(), Random::system());
    let template = event_template("/v1/challenges/verify")?;
    let (mut rows, mut events) = (Vec::new(), Vec::new());
    for n in numbers {
        let account = n % ACCOUNTS;
        let named: Did = did(account).parse()?;
        let challenge = NewChallenge {
            id: id(n)?,
            did: &named,
            purpose: Purpose::SignIn(ChallengeType::MnemonicLogin),
            nonce: random.bytes(),
            issued_at: now,
            lifetime: LIFETIME,
        };
        let title = challenge.text(DOMAIN);
        let body = json!({ "did": named, "challenge_id": challenge.id, "signature": sign(account, &title)? });
        rows.push(json!({ "id": challenge.id, "did": named, "title": title }));
        events.push(event(&template, n, &body)?);
    }
    let sql = "INSERT INTO challenges (id, did, challenge_type, title, issued_at, expires_at)
               SELECT id, did, 'mnemonic_login', title, now(), now() + interval '1 day'
               FROM json_to_recordset($1) AS c (id uuid, did text, title text)";
    for page in rows.chunks(5_000) {
        insert(world, sql, &Value::from(page)).await?;
    }
    Ok(events)
}

/// Open challenges that nobody's function answers: for `pgbench`.
pub async fn unsigned(world: &World, numbers: Range<u64>) -> Result<()> {
    let title = NewChallenge {
        id: id(0)?,
        did: &did(0).parse()?,
        purpose: Purpose::SignIn(ChallengeType::MnemonicLogin),
        nonce: [7; 32],
        issued_at: Clock::system().now(),
        lifetime: LIFETIME,
    }
    .text(DOMAIN);
    let sql = format!(
        "INSERT INTO challenges (id, did, challenge_type, title, issued_at, expires_at)
         SELECT lpad(n::text, 32, '0')::uuid, 'did:mnemonic:' || lpad((n % {ACCOUNTS})::text, 16, '0'),
                'mnemonic_login', '{title}', now(), now() + interval '1 day'
         FROM generate_series({}, {}) AS n",
        numbers.start,
        numbers.end - 1
    );
    Ok(world.admin.batch_execute(&sql).await?)
}

/// The events of requests for a challenge.
pub fn questions(numbers: Range<u64>) -> Result<Vec<Bytes>> {
    let template = event_template("/v1/challenges")?;
    let body = |n: u64| json!({ "did": did(n % ACCOUNTS), "challenge_type": "mnemonic_login" });
    numbers.map(|n| event(&template, n, &body(n))).collect()
}

fn event_template(path: &str) -> Result<Value> {
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", AGENT),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, deflate, br"),
        ("host", "api.example.com"),
    ];
    http_event("POST", path, "{}", &headers)
}

/// Each account calls from an address of its own, as accounts do.
fn event(template: &Value, n: u64, body: &Value) -> Result<Bytes> {
    let mut event = template.clone();
    let [.., high, low] = (n % ACCOUNTS).to_be_bytes();
    event["requestContext"]["http"]["sourceIp"] = format!("10.7.{high}.{low}").into();
    event["requestContext"]["requestId"] = format!("bench-{n}").into();
    event["body"] = body.to_string().into();
    Ok(serde_json::to_vec(&event)?.into())
}

/// As `lncli signmessage` does.
fn sign(account: u64, text: &str) -> Result<String> {
    let digest = Message::from_digest(signed_message::digest(text.as_bytes()));
    let (recovery_id, compact) =
        SECP256K1.sign_ecdsa_recoverable(&digest, &key(account)?).serialize_compact();
    let header = u8::try_from(31 + recovery_id.to_i32())?;
    let mut zbase32 = Specification::new();
    zbase32.symbols.push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
    Ok(zbase32.encoding()?.encode(&[[header].as_slice(), compact.as_slice()].concat()))
}

async fn insert(world: &World, sql: &str, rows: &Value) -> Result<()> {
    world.admin.execute_typed(sql, &[(rows, tokio_postgres::types::Type::JSON)]).await?;
    Ok(())
}
