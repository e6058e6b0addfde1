//! What needs a real Postgres.
#[tokio::test]
async fn starts() -> testing::Result<()> {
    testing::World::start().await?;
    Ok(())
}
