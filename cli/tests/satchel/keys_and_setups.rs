//! A rotation, and what Lightning setups have sealed.

use shared::reseal::SEALED_COLUMNS;
use testing::Result;

use crate::keys_world::Keeper;
use crate::setup_world::Setups;

/// How many values of each column name each key: `table.column`, key, values.
async fn sealed_by(setups: &Setups) -> Result<Vec<(String, u32, i64)>> {
    let mut found = Vec::new();
    for column in SEALED_COLUMNS {
        let (table, name) = (column.table, column.column);
        let sql = format!(
            "SELECT substring({name} FROM 2 FOR 4), count(*) FROM {table} WHERE {name} IS NOT NULL GROUP BY 1"
        );
        for row in setups.admin.query_typed(&sql, &[]).await? {
            let key: &[u8] = row.get(0);
            found.push((format!("{table}.{name}"), u32::from_be_bytes(key.try_into()?), row.get(1)));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn setups_go_on_with_what_was_moved_and_the_old_key_is_not_missed() -> Result<()> {
    let setups = Setups::start().await?;
    // One that stopped with everything it made in its columns, one whose address holds it.
    let (failed, finished) = (setups.failed("alice").await?, setups.finished("bob").await?);
    let before = sealed_by(&setups).await?;
    let columns = ["password", "root_key", "seed", "macaroon"]
        .map(|name| format!("lightning_setup_secrets.{name}_sealed"));
    for column in columns.iter().map(String::as_str).chain(["lightning_addresses.btcpay_config_sealed"]) {
        assert!(before.iter().any(|(name, ..)| name == column), "{column} holds nothing: {before:?}");
    }
    let keeper = Keeper::of(setups.world, setups.tool).await?;
    for _ in 0..3 {
        keeper.rotate_and_wait().await?;
    }
    assert_eq!(keeper.held()?, [2]);
    let setups = Setups::of(keeper.world).await?;
    let after = sealed_by(&setups).await?;
    let moved: Vec<_> = before.into_iter().map(|(column, _, values)| (column, 2, values)).collect();
    assert_eq!(after, moved);

    setups.run(&["retry", "alice"]).await?.done();
    setups.are_whole(&[failed.id, finished.id]).await
}
