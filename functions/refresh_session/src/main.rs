use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("refresh_session", refresh_session::Deps::wire, refresh_session::handle).await
}
