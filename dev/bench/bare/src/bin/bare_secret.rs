//! One read from Secrets Manager and nothing else: prints the nanoseconds from `main` to having the value.

use anyhow::Context;
use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::{Client, Config};
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().context("the first argument is the endpoint")?;
    let name = arguments.next().context("the second argument is the secret's name")?;
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "benchmark"))
        .endpoint_url(endpoint);
    let answer = Client::from_conf(config.build()).get_secret_value().secret_id(name).send().await?;
    answer.secret_string().context("the secret has no text value")?;
    println!("{}", started.elapsed().as_nanos());
    Ok(())
}
