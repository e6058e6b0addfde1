use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::run_job("seal_audit_heads", seal_audit_heads::Deps::wire, seal_audit_heads::run).await
}
