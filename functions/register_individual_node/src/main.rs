use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve(
        "register_individual_node",
        register_individual_node::Deps::wire,
        register_individual_node::handle,
    )
    .await
}
