use resume_lightning_setups::{Deps, run};
use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::run_long_job("resume_lightning_setups", Deps::wire, run).await
}
