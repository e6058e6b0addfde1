use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("discord_oauth", discord_oauth::Deps::wire, discord_oauth::handle).await
}
