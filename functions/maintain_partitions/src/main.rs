use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::run_job("maintain_partitions", maintain_partitions::Deps::wire, maintain_partitions::run).await
}
