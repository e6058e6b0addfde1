use send_mails::{Deps, run};
use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::run_long_job("send_mails", Deps::wire, run).await
}
