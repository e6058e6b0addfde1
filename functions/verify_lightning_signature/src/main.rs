use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve(
        "verify_lightning_signature",
        verify_lightning_signature::Deps::wire,
        verify_lightning_signature::handle,
    )
    .await
}
