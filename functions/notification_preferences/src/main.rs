use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve(
        "notification_preferences",
        notification_preferences::Deps::wire,
        notification_preferences::handle,
    )
    .await
}
