use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("stripe_webhook", stripe_webhook::Deps::wire, stripe_webhook::handle).await
}
