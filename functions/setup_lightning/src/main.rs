use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("setup_lightning", setup_lightning::Deps::wire, setup_lightning::handle).await
}
