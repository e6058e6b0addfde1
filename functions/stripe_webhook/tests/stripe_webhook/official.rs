//! Stripe's own libraries sign for us, and verify what we sign. Their versions stand in `dev/testing/interop`; they are
//! installed below `target/` by whoever is first.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use data_encoding::BASE64;
use sandbox::STRIPE_PLATFORM_SECRET;
use serde_json::{Value, json};
use testing::{Call, Result, World};

use super::{
    ACCOUNT, PLATFORM, fresh_name, header, mac, paid, received, refused, rows, wire, with, with_header,
};

/// Longer than a block of the hash, which is then hashed itself.
const LONG_SECRET: &str =
    "whsec_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn scripts() -> PathBuf {
    testing::world::root().join("dev/testing/interop")
}

fn home(language: &str) -> PathBuf {
    testing::postgres::target_dir().join("tools/interop").join(language)
}

fn run(mut command: Command, needed: &str) -> Result<()> {
    let done = command.output().with_context(|| format!("{needed} is needed"))?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// Installs what `recipe` names, unless that was done here before.
fn once(home: &Path, recipe: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = home.join("complete");
    let recipe = format!("{}\n{recipe}", home.display());
    if fs::read_to_string(&stamp).is_ok_and(|found| found == recipe) {
        return Ok(());
    }
    fs::create_dir_all(home)?;
    install()?;
    Ok(fs::write(stamp, recipe)?)
}

fn python() -> Result<Command> {
    let (home, wanted) = (home("python"), scripts().join("requirements.txt"));
    once(&home, &fs::read_to_string(&wanted)?, || {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&home);
        run(make, "Python 3 with its module venv")?;
        let mut install = Command::new(home.join("bin/pip"));
        install.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&wanted);
        run(install, "pip")
    })?;
    let mut command = Command::new(home.join("bin/python"));
    command.arg(scripts().join("stripe_signatures.py"));
    Ok(command)
}

fn node() -> Result<Command> {
    let home = home("node");
    once(&home, &fs::read_to_string(scripts().join("package-lock.json"))?, || {
        for file in ["package.json", "package-lock.json", ".npmrc"] {
            fs::copy(scripts().join(file), home.join(file))?;
        }
        let mut install = Command::new("npm");
        install.args(["ci", "--silent"]).current_dir(&home);
        run(install, "Node 20 with npm")
    })?;
    // A module is looked for beside the file that asks for it.
    fs::copy(scripts().join("stripe_signatures.mjs"), home.join("stripe_signatures.mjs"))?;
    let mut command = Command::new("node");
    command.arg(home.join("stripe_signatures.mjs"));
    Ok(command)
}

fn ask(mut command: Command, jobs: &[Value]) -> Result<Vec<Value>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(&serde_json::to_vec(jobs)?)?;
    let done = child.wait_with_output()?;
    ensure!(done.status.success(), "{command:?} failed");
    let results: Vec<Value> = serde_json::from_slice(&done.stdout)?;
    ensure!(results.len() == jobs.len(), "of {} jobs {} were done", jobs.len(), results.len());
    Ok(results)
}

/// Bodies as they may come: compact, indented, beyond ASCII, long, and thin.
fn bodies() -> Vec<(String, String)> {
    let thin = |name: &str| {
        json!({
            "id": format!("evt_{name}"), "object": "v2.core.event", "type": "v2.core.account.closed",
            "livemode": false, "created": "2026-01-09T12:00:00.000Z", "context": ACCOUNT,
            "related_object": { "id": ACCOUNT, "type": "v2.core.account", "url": format!("/v2/core/accounts/{ACCOUNT}") },
        })
    };
    let forms: [fn(&Value) -> String; 4] = [
        Value::to_string,
        |event| format!("{event:#}\n"),
        |event| {
            with(event.clone(), "/data/object/description", json!("ein Kaffee für dich ☕ \u{1f600}"))
                .to_string()
        },
        |event| with(event.clone(), "/data/object/description", json!("x".repeat(200_000))).to_string(),
    ];
    let mut bodies: Vec<(String, String)> = forms
        .iter()
        .map(|form| {
            let name = fresh_name();
            (format!("evt_{name}"), form(&paid(&name)))
        })
        .collect();
    let name = fresh_name();
    bodies.push((format!("evt_{name}"), thin(&name).to_string()));
    bodies
}

fn job(body: &str, secret: &str, rest: Value) -> Value {
    let mut job = rest;
    job["body"] = json!(BASE64.encode(body.as_bytes()));
    job["secret"] = json!(secret);
    job
}

/// Both directions, for the library behind `library`.
async fn agrees_with(library: fn() -> Result<Command>) -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let document = json!({ "platform": [STRIPE_PLATFORM_SECRET, LONG_SECRET], "connect": [] });
    world.sandbox.secrets().put("satchel/stripe-webhooks", &document.to_string());
    let deps = wire(&world).await?;
    let now = world.now().unix_timestamp();
    let bodies = bodies();

    // Theirs by us: every body by either secret.
    let by_either = |body: &'_ String| {
        [STRIPE_PLATFORM_SECRET, LONG_SECRET]
            .map(|secret| (body.clone(), job(body, secret, json!({ "at": now }))))
    };
    let (texts, jobs): (Vec<String>, Vec<Value>) =
        bodies.iter().flat_map(|(_, body)| by_either(body)).unzip();
    for (body, signed) in texts.iter().zip(ask(library()?, &jobs)?) {
        let header = signed["header"].as_str().context("no header")?;
        received(&deps, &with_header(PLATFORM, body.as_str(), header)).await.context(header.to_owned())?;
    }
    assert_eq!(rows(&world, "webhook_events").await?, i64::try_from(bodies.len())?);
    let theirs: Call = {
        let signed = ask(library()?, &[job(&bodies[0].1, "whsec_of_somebody_else", json!({ "at": now }))])?;
        with_header(PLATFORM, bodies[0].1.as_str(), signed[0]["header"].as_str().context("no header")?)
    };
    refused(&deps, &theirs, "theirs, by another secret").await?;

    // Ours by them: as the sandbox signs, as these tests do, and as Stripe does while a secret is rolled.
    let mut ours = Vec::new();
    for (id, body) in &bodies {
        for secret in [STRIPE_PLATFORM_SECRET, LONG_SECRET] {
            let bytes = body.as_bytes();
            let rolled =
                format!("{},v1={}", header("whsec_another_one", now, bytes), mac(secret, now, bytes));
            for header in [sandbox::stripe::sign(bytes, secret, now), header(secret, now, bytes), rolled] {
                ours.push((id, job(body, secret, json!({ "header": header }))));
            }
        }
    }
    let (ids, jobs): (Vec<&String>, Vec<Value>) = ours.into_iter().unzip();
    for (id, verified) in ids.iter().zip(ask(library()?, &jobs)?) {
        assert_eq!(verified["event"], **id, "{verified}");
    }

    // What they would not take from us either.
    let (_, body) = &bodies[0];
    let sign = |secret: &str, at: i64, body: &str| json!({ "header": sandbox::stripe::sign(body.as_bytes(), secret, at) });
    let wrong = [
        job(body, STRIPE_PLATFORM_SECRET, sign(LONG_SECRET, now, body)),
        job(body, STRIPE_PLATFORM_SECRET, sign(STRIPE_PLATFORM_SECRET, now - 302, body)),
        job(body, STRIPE_PLATFORM_SECRET, sign(STRIPE_PLATFORM_SECRET, now, &format!("{body} "))),
        job(body, STRIPE_PLATFORM_SECRET, json!({ "header": format!("t={now}") })),
    ];
    for refused in ask(library()?, &wrong)? {
        let name = refused["refused"].as_str().context("it was taken")?;
        assert!(name.ends_with("SignatureVerificationError"), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn what_stripes_library_for_python_signs_is_taken_and_it_takes_what_is_signed_here() -> Result<()> {
    agrees_with(python).await
}

#[tokio::test]
async fn what_stripes_library_for_node_signs_is_taken_and_it_takes_what_is_signed_here() -> Result<()> {
    agrees_with(node).await
}
