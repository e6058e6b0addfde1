use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("create_challenge", create_challenge::Deps::wire, create_challenge::handle).await
}
