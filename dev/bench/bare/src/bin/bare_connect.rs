//! One connection to Postgres and nothing else: prints the nanoseconds from `main` to being let in.

use anyhow::Context;
use std::time::Instant;
use tokio_postgres::NoTls;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let url = std::env::args().nth(1).context("the first argument is the database's URL")?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    println!("{}", started.elapsed().as_nanos());
    drop(client);
    Ok(connection.await?)
}
