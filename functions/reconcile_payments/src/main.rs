use reconcile_payments::{Deps, run};
use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::run_long_job("reconcile_payments", Deps::wire, run).await
}
