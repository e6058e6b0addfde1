use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("rebind_node", rebind_node::Deps::wire, rebind_node::handle).await
}
