//! Provisional: a database with its roles, and fresh secrets in the sandbox.
use anyhow::{Context, Result};
use aws_lc_rs::encoding::AsDer;
use data_encoding::BASE64;
use sandbox::Handle;
use serde_json::json;
use shared::crypto::Secret;
use shared::db::roles::{self, Role};
use std::collections::BTreeMap;

pub struct Prepared {
    pub environment: BTreeMap<String, String>,
    pub database_url: String,
}

pub async fn prepare(admin_url: &str, sandbox: &Handle) -> Result<Prepared> {
    let (client, connection) = tokio_postgres::connect(admin_url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    let config: tokio_postgres::Config = admin_url.parse()?;
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let name = format!("satchel_dev_{}", std::process::id());
    for role in Role::ALL {
        let password = BASE64.encode(&random::<24>()?);
        roles::create(&client, role, &Secret::new(password.clone())).await?;
        let secret = json!({"host": "127.0.0.1", "port": port, "dbname": name, "username": role.name(),
            "password": password, "sslmode": "disable"});
        sandbox.secrets().put(&format!("satchel/database/{}", role.short_name()), &secret.to_string());
    }
    roles::create_database(&client, &name).await?;
    drop(client);
    connection.await??;
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048)?;
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der()?;
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(der.as_ref()));
    let signing = json!({"keys": [{"kid": "dev-1", "alg": "RS256", "private_key": pem}]});
    sandbox.secrets().put("satchel/signing", &signing.to_string());
    let sealing = json!({"keys": [{"id": 1, "created_at": "2026-01-01T00:00:00Z", "key": BASE64.encode(&random::<32>()?)}]});
    sandbox.secrets().put("satchel/sealing", &sealing.to_string());
    sandbox.secrets().put("satchel/audit", &json!({"key": BASE64.encode(&random::<32>()?)}).to_string());
    let environment = [
        ("AWS_ACCESS_KEY_ID", "dev"),
        ("AWS_SECRET_ACCESS_KEY", "dev"),
        ("AWS_REGION", gateway::REGION),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", sandbox.base_url()),
        ("ALLOW_HTTP_PROVIDERS", "true"),("TOKEN_AUDIENCE","satchel"),
    ];
    let environment = environment.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let (server, _) = admin_url.rsplit_once('/').context("a URL has a path")?;
    Ok(Prepared { environment, database_url: format!("{server}/{name}") })
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(bytes)
}
