use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("get_user_node_info", get_user_node_info::Deps::wire, get_user_node_info::handle).await
}
