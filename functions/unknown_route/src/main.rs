use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("unknown_route", unknown_route::Deps::wire, unknown_route::handle).await
}
