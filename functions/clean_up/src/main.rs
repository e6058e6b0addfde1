use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::run_job("clean_up", clean_up::Deps::wire, clean_up::run).await
}
