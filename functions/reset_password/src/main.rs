use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("reset_password", reset_password::Deps::wire, reset_password::handle).await
}
