use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("activity_logs", activity_logs::Deps::wire, activity_logs::handle).await
}
