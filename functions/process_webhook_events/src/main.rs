use process_webhook_events::{Deps, run};
use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::run_long_job("process_webhook_events", Deps::wire, run).await
}
