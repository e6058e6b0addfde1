use anyhow::Context;
use data_encoding::HEXLOWER;
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::Value;
use shared::crypto::{Field, KeyRing, SealingKeys};
use shared::reseal::SEALED_COLUMNS;
use shared::upstream::code;
use testing::{Result, deployment};
use uuid::Uuid;

use crate::setup_world::{FUNCTION, Setups};
use crate::tool::{document, secret_values};

/// Everything of the deployment that nobody may read off a screen: what its columns hold, opened and as it stands
/// there, and what its secrets do.
async fn secrets(setups: &Setups) -> Result<Vec<String>> {
    let ring = setups.world.wire(FUNCTION, |config| config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"));
    let ring = ring.await?.get().await?;
    let mut secrets = vec![deployment::BTCPAY_KEY.to_owned(), deployment::VOLTAGE_KEY.to_owned()];
    for column in SEALED_COLUMNS.iter().filter(|column| column.table.starts_with("lightning_")) {
        let (table, name) = (column.table, column.column);
        let key = if table == "lightning_addresses" { "user_id" } else { "setup_id" };
        let sql = format!("SELECT {key}, {name} FROM {table} WHERE {name} IS NOT NULL");
        for row in setups.admin.query_typed(&sql, &[]).await? {
            let (id, sealed): (Uuid, &[u8]) = (row.get(0), row.get(1));
            let field = Field { purpose: column.purpose, table, column: name, row: id.as_bytes() };
            let opened = ring.open(field, sealed)?;
            secrets.push(HEXLOWER.encode(sealed));
            secrets.push(HEXLOWER.encode(opened.expose()));
            if let Ok(configuration) = serde_json::from_slice::<Value>(opened.expose()) {
                let inside =
                    ["macaroon", "webhook_secret"].iter().filter_map(|name| configuration[name].as_str());
                secrets.extend(inside.map(str::to_owned));
            } else if let Ok(text) = std::str::from_utf8(opened.expose()) {
                secrets.push(text.to_owned());
                let words: Vec<&str> = text.split_whitespace().collect();
                secrets.extend(words.windows(3).map(|three| three.join(" ")));
            }
        }
    }
    for name in ["sealing", "audit", "marker", "database/jobs"] {
        secrets.extend(secret_values(&document(&setups.world.sandbox, &format!("satchel/{name}"))?));
    }
    secrets.retain(|secret| secret.len() > 5);
    Ok(secrets)
}

#[tokio::test]
async fn a_failed_setup_tells_how_far_it_came_why_it_stopped_and_what_to_do() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.failed("alice").await?;
    let node = setup.voltage_node_id.as_deref().context("it has no node")?;

    let said = setups.run(&["show", &setup.id.to_string()]).await?.ok();

    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], format!("setup {}  alice@pay.example.com  failed", setup.id));
    let has = |wanted: &[&str]| lines.iter().any(|line| wanted.iter().all(|part| line.contains(part)));
    for wanted in [
        &["account", &setup.user_id.to_string()][..],
        &["node ", "voltage"],
        &["begun", "taken up 1 time"],
        &["create_node", "done", "attempts 1"],
        &["bake_macaroon", "done", "attempts 1"],
        &["create_store", "failed", "attempts 1", "BTCPAY_KEY_REFUSED"],
        &["connect_node", "pending", "attempts 0"],
        &["activate", "pending"],
        &["voltage node", node, "with our wallet"],
        &["node address", "t.voltageapp.io"],
        &["btcpay store", "none"],
        &["seed", "not handed over"],
        &["create_node", "begun"],
        &["create_store", "given_up", "BTCPAY_KEY_REFUSED"],
    ] {
        assert!(has(wanted), "{wanted:?} in\n{said}");
    }
    let next = format!(
        "next: BTCPAY_KEY_REFUSED: put a BTCPay key that is good into its secret, then retry (satchel setup retry {})",
        setup.id
    );
    assert_eq!(lines.last(), Some(&next.as_str()));
    Ok(())
}

#[tokio::test]
async fn every_code_of_a_provider_comes_with_something_to_do() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.failed("alice").await?;
    let own = [
        "NODE_GONE",
        "WALLET_TAKEN",
        "NODE_STOPPED",
        "STORE_GONE",
        "NODE_NOT_REGISTERED",
        "SECRET_UNREADABLE",
    ];
    let code_of = "UPDATE lightning_setup_steps SET last_error_code =";
    // No setup asks Stripe for anything.
    let providers = code::ALL.iter().filter(|code| !code.starts_with("STRIPE_"));
    for code in providers.chain(&own) {
        setups
            .sql(&format!("{code_of} '{code}' WHERE setup_id = '{}' AND state = 'failed'", setup.id))
            .await?;
        let said = setups.run(&["show", "alice"]).await?.ok();
        let next = said.lines().last().unwrap_or_default();
        let (start, end) = (format!("next: {code}: "), format!(" (satchel setup retry {})", setup.id));
        assert!(next.starts_with(&start) && next.ends_with(&end), "{next}");
        assert!(!next.contains("our own rows"), "{next}");
    }
    Ok(())
}

#[tokio::test]
async fn one_that_is_finished_or_was_taken_back_needs_nothing() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.finished("alice").await?;
    let said = setups.run(&["show", "alice"]).await?.ok();
    for wanted in
        [setup.btcpay_store_id.as_deref(), setup.btcpay_webhook_id.as_deref(), setup.node_pubkey.as_deref()]
    {
        assert!(said.contains(wanted.context("an id is missing")?), "{said}");
    }
    assert!(said.contains("activated") && said.ends_with("\nnext: nothing to do\n"), "{said}");
    setups.sql("UPDATE lightning_setup_secrets SET seed_handed_over_at = '2026-02-03 04:05:06Z'").await?;
    assert!(
        setups
            .run(&["show", "alice"])
            .await?
            .ok()
            .contains("seed            handed over 2026-02-03T04:05:06Z")
    );

    setups.run(&["undo", &setup.id.to_string(), "--yes", "--with-funds"]).await?.done();
    assert!(setups.run(&["show", "alice"]).await?.refused().contains("there is no setup alice"));
    let said = setups.run(&["show", &setup.id.to_string()]).await?.ok();
    assert!(said.contains("at the providers (deleted)") && said.contains("undone"), "{said}");
    assert!(said.ends_with("\nnext: nothing to do: it was taken back\n"), "{said}");
    Ok(())
}

#[tokio::test]
async fn it_is_found_by_whatever_an_operator_was_told() -> Result<()> {
    let setups = Setups::start().await?;
    let (id, other) = (setups.begin("alice").await?, setups.begin("bob").await?);
    let user = setups.setup(id).await?.user_id;
    for name in [
        &id.to_string(),
        &user.to_string(),
        "alice",
        "Alice",
        "alice@pay.example.com",
        "ALICE@pay.example.com",
    ] {
        let said = setups.run(&["show", name]).await?.ok();
        assert!(said.starts_with(&format!("setup {id} ")) && !said.contains(&other.to_string()), "{said}");
    }
    let unknown = setups.id().to_string();
    for name in [&unknown, "carol", "carol@pay.example.com", "alice@elsewhere.example", "%", "a'--"] {
        let said = setups.run(&["show", name]).await?.refused();
        assert!(
            said.contains(&format!("there is no setup {name}")) && said.contains("satchel setup list"),
            "{said}"
        );
    }
    setups.set(other, "username = 'alice'").await?;
    let said = setups.run(&["show", "alice"]).await?.refused();
    assert!(said.contains("several setups have the name alice"), "{said}");
    setups.run(&["show", "alice@pay.example.com"]).await?.ok();
    Ok(())
}

#[tokio::test]
async fn neither_a_secret_nor_what_a_terminal_obeys_is_ever_shown() -> Result<()> {
    let setups = Setups::start().await?;
    // One with all its values in their columns, one with those of an address.
    let (failed, finished) = (setups.failed("alice").await?, setups.finished("bob").await?);
    let body = format!("<b>\x1b[31mno\x07 {} {}</b>", deployment::BTCPAY_KEY, deployment::VOLTAGE_KEY);
    let answer = Misbehaviour::FailBefore { status: 400, body };
    setups.world.sandbox.faults().add(Route::service(Service::Btcpay), When::Always, answer)?;
    let retried = setups.run(&["retry", &failed.id.to_string()]).await?;
    assert!(retried.failed().contains("BTCPAY_REJECTED"), "{retried:?}");
    let secrets = secrets(&setups).await?;
    assert!(secrets.len() > 60, "{} secrets", secrets.len());

    let mut said = vec![retried];
    for arguments in [vec!["list"], vec!["list", "--json"], vec!["repair"], vec!["sweep"]] {
        said.push(setups.run(&arguments).await?);
    }
    for setup in [&failed, &finished] {
        said.push(setups.run(&["show", &setup.id.to_string()]).await?);
        said.push(setups.run(&["undo", &setup.id.to_string()]).await?);
    }
    for ran in said {
        let text = format!("{}{}", ran.stdout, ran.stderr);
        for secret in &secrets {
            assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{secret} is in {text}");
        }
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
    Ok(())
}
