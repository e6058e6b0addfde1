use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("create_invoice", create_invoice::Deps::wire, create_invoice::handle).await
}
