use std::fs;

use serde_json::Value;
use shared::audit::{AuditDocument, AuditKey};
use shared::crypto::Secret;
use shared::db::roles::Role;
use shared::setup::Markers;
use testing::postgres::{Server, StartOptions};
use testing::{Result, TestDb, World, deployment};

use crate::secrets_new::NAMES;
use crate::tool::{Tool, document, today};

const DID: &str = "did:mnemonic:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const PUBKEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// Roles belong to a whole cluster, and the other tests rely on theirs.
async fn own_cluster(name: &str) -> Result<Server> {
    let options = StartOptions::for_tests(name);
    tokio::task::spawn_blocking(move || Server::start(options)).await?
}

fn password(secret: &Value) -> Secret<String> {
    Secret::new(secret["password"].as_str().unwrap_or_default().to_owned())
}

async fn stop(server: Server) -> Result<()> {
    tokio::task::spawn_blocking(move || server.stop()).await?
}

#[tokio::test]
async fn a_deployment_from_nothing_runs_on_what_the_tool_made() -> Result<()> {
    let server = own_cluster("cli-nothing").await?;
    let (admin, port) = (server.admin_url(), server.port().to_string());
    let sandbox = sandbox::Sandbox::start(sandbox::SandboxOptions::default()).await?;
    let tool = Tool::at(&sandbox);
    let new = ["secrets", "new", "--put", "--database-host", "127.0.0.1", "--database-port", &port];
    tool.run(&[&new[..], &["--sslmode", "disable", "--database-name", "fresh"]].concat()).await?.ok();
    for _ in 0..2 {
        let said = tool.run(&["database", "init", "--admin-url", &admin]).await?.ok();
        assert!(said.contains("satchel_jobs") && said.contains("database fresh"), "{said}");
    }
    let said = tool.run(&["database", "migrate"]).await?.ok();
    assert!(said.starts_with("applied: ") && said.contains("signing_keys"), "{said}");
    assert!(tool.run(&["database", "migrate"]).await?.ok().contains("up to date"));
    let said = tool.run(&["audit", "verify"]).await?.ok();
    assert!(said.contains("0 rows in 0 chains"), "{said}");
    for role in Role::ALL {
        let secret = document(&sandbox, &format!("satchel/database/{}", role.short_name()))?;
        let url = deployment::sibling(&admin, "fresh", Some((role.name(), &password(&secret))))?;
        deployment::connect(&url).await?;
    }
    stop(server).await
}

#[tokio::test]
async fn a_world_wired_with_the_files_signs_in() -> Result<()> {
    let server = own_cluster("cli-files").await?;
    let (admin, port) = (server.admin_url(), server.port().to_string());
    let mut world = World::start_on(TestDb::create_at(&admin).await?).await?;
    world.advance(today() - world.now());
    let home = tempfile::tempdir()?;
    let out = home.path().join("secrets");
    let dir = out.to_string_lossy().into_owned();
    let tool = Tool::default();
    let new = ["secrets", "new", "--out", &dir, "--database-host", "127.0.0.1", "--database-port", &port];
    tool.run(&[&new[..], &["--sslmode", "disable", "--database-name", &world.db.name]].concat()).await?.ok();
    tool.run(&["database", "init", "--dir", &dir, "--admin-url", &admin]).await?.ok();
    tool.run(&["database", "migrate", "--dir", &dir]).await?.ok();
    for name in NAMES {
        let file = fs::read_to_string(out.join(format!("{}.json", name.replace('/', "-"))))?;
        world.sandbox.secrets().put(&format!("satchel/{name}"), &file);
    }
    for role in Role::ALL {
        let secret = document(&world.sandbox, &format!("satchel/database/{}", role.short_name()))?;
        world.db.passwords.insert(role, password(&secret));
    }
    let signed_in = world.sign_in(DID, PUBKEY).await?;
    assert!(signed_in.access_token.split('.').count() == 3);
    world
        .wire("seal_audit_heads", |config| config.secret::<AuditDocument, AuditKey>("AUDIT_SECRET"))
        .await?
        .get()
        .await?;
    world.wire("sweep_orphans", Markers::wire).await?.get().await?;
    drop(world);
    stop(server).await
}

#[tokio::test]
async fn an_administrator_who_is_no_superuser_will_do() -> Result<()> {
    let server = own_cluster("cli-managed").await?;
    let port = server.port().to_string();
    let superuser = deployment::connect(&server.admin_url()).await?;
    superuser.batch_execute("CREATE ROLE manager LOGIN CREATEDB CREATEROLE PASSWORD 'pass word'").await?;
    let home = tempfile::tempdir()?;
    let dir = home.path().join("secrets").to_string_lossy().into_owned();
    let tool = Tool::default();
    let new = ["secrets", "new", "--out", &dir, "--database-host", "127.0.0.1", "--database-port", &port];
    tool.run(&[&new[..], &["--sslmode", "disable"]].concat()).await?.ok();
    let url = format!("postgres://manager@127.0.0.1:{port}/postgres");
    let init = ["database", "init", "--dir", &dir, "--admin-url", &url];
    let said = tool.run(&init).await?.refused();
    assert!(said.contains("administrator"), "{said}");
    let tool = tool.with("PGPASSWORD", "pass word");
    for _ in 0..2 {
        tool.run(&init).await?.ok();
    }
    tool.run(&["database", "migrate", "--dir", &dir]).await?.ok();
    stop(server).await
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_not_repeated() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path().join("secrets").to_string_lossy().into_owned();
    let tool = Tool::default();
    let new = ["secrets", "new", "--out", &dir, "--database-host", "db.example.com"];
    tool.run(&new).await?.ok();
    for url in [
        "postgres://admin:hunter2@db.example.com:port/postgres",
        "postgres://admin:hunter2@127.0.0.1:1/postgres?sslmode=disable",
        "postgres://admin:hunter2@db.example.com/postgres?sslmode=disable",
        "postgres://admin:hunter2@a,b/postgres",
    ] {
        let said = tool.run(&["database", "init", "--dir", &dir, "--admin-url", url]).await?.refused();
        assert!(!said.contains("hunter2"), "{said}");
    }
    Ok(())
}
