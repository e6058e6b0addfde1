//! What an account did, a page at a time.

use serde_json::json;
use testing::{Result, World};
use time::Duration;

use super::{append, list, other, send, user};

#[tokio::test]
async fn pages_give_everything_once_newest_first_while_more_is_written() -> Result<()> {
    let world = World::start().await?;
    let (user, other) = (user(&world).await?, other(&world).await?);
    for at in 0..9 {
        // Three of each moment.
        if at % 3 == 0 {
            world.advance(Duration::SECOND);
        }
        send(&world, &append(&user, &json!({ "action": format!("step {at}") }))).await?;
        send(&world, &append(&other, &json!({ "action": "somebody else's" }))).await?;
    }
    let (mut seen, mut query) = (Vec::new(), String::from("limit=2"));
    loop {
        let page = send(&world, &list(&user, user.user_id).query(&query)).await?;
        assert_eq!(page.status, 200, "{page:?}");
        let items = page.body["items"].as_array().cloned().unwrap_or_default();
        assert!(items.len() <= 2);
        seen.extend(items);
        world.advance(Duration::SECOND);
        send(&world, &append(&user, &json!({ "action": "meanwhile" }))).await?;
        let Some(cursor) = page.body["nextCursor"].as_str() else { break };
        query = format!("limit=2&cursor={cursor}");
    }
    let mut actions: Vec<&str> = seen.iter().filter_map(|item| item["action"].as_str()).collect();
    let times: Vec<&str> = seen.iter().filter_map(|item| item["createdAt"].as_str()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    actions.sort_unstable();
    let expected: Vec<String> = (0..9).map(|at| format!("step {at}")).collect();
    assert_eq!(actions, expected);
    Ok(())
}

#[tokio::test]
async fn what_is_no_account_limit_or_cursor_is_refused_by_its_field() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    for (query, field) in [("limit=0", "limit"), ("limit=201", "limit"), ("cursor=x", "cursor")] {
        let answer = send(&world, &list(&user, user.user_id).query(query)).await?;
        assert_eq!((answer.status.as_u16(), answer.fields()), (400, vec![field]));
    }
    let nobody = testing::Call::new(super::LIST).path("userId", "me").bearer(&user.access_token);
    let answer = send(&world, &nobody).await?;
    assert_eq!((answer.status.as_u16(), answer.fields()), (400, vec!["userId"]));
    Ok(())
}

#[tokio::test]
async fn who_did_nothing_has_an_empty_page() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let answer = send(&world, &list(&user, user.user_id)).await?;
    assert_eq!(answer.body, json!({ "items": [], "nextCursor": null }));
    Ok(())
}
