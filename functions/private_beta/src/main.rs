use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("private_beta", private_beta::Deps::wire, private_beta::handle).await
}
