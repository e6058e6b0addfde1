use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("verify_email", verify_email::Deps::wire, verify_email::handle).await
}
