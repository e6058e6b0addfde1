use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::run_long_job("sweep_orphans", sweep_orphans::Deps::wire, sweep_orphans::run).await
}
