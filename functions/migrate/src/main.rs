use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::run_job("migrate", migrate::Deps::wire, migrate::run).await
}
