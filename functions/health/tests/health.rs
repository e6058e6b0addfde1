//! `GET /v1/health`

use testing::World;

#[tokio::test]
async fn x() -> testing::Result<()> {
    let world = World::start().await?;
    for f in ["create_challenge","verify_lightning_signature","register_individual_node","rebind_node","get_user_node_info","openid","health","unknown_route","migrate","clean_up","seal_audit_heads"] {
        println!("{f}: {:?}", world.environment(f)?);
    }
    Ok(())
}
