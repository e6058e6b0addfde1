//! That those who send the statements of `statements.json` send them in the order in which our functions do: Postgres
//! writes down what one warm request of each kind runs. Prisma makes its own, and is held to the rows alone.

use super::contender::{Contender, Crew};
use super::ground::Ground;
use super::people;
use super::work::Work;
use crate::peers::statement;
use crate::setup::recording::{Mark, while_at_work};
use crate::webhooks::without_types;
use anyhow::{Result, ensure};
use shared::db::roles::Role;
use testing::postgres::Server;

const BOUND: [Contender; 3] = [Contender::Ours, Contender::Express, Contender::FastApi];

const EXPECTED: [(Work, Role, &[&str]); 4] = [
    (Work::Me, Role::Api, &["me"]),
    (Work::Refresh, Role::Auth, &["refreshable", "rotate"]),
    (Work::Sessions, Role::Api, &["count", "START TRANSACTION", "enter", "child", "head", "audit", "COMMIT"]),
    (
        Work::Login,
        Role::Auth,
        &[
            "count",
            "count",
            "by_email",
            "START TRANSACTION",
            "signed_in",
            "hold_password",
            "session",
            "head",
            "audit",
            "COMMIT",
        ],
    ),
];

pub async fn check(ground: &Ground, server: &Server) -> Result<()> {
    for (work, role, names) in EXPECTED {
        let expected: Result<Vec<String>> = names.iter().map(|name| text(name)).collect();
        let expected = expected?;
        for contender in BOUND {
            let people = people::signed_in(ground, 1).await?;
            let warm_request = async |mark: Mark<'_>| {
                let crew = Crew::start(ground, contender, &[work], 1).await?;
                let mut seats = crew.seats(&people).await?;
                // The first connects and reads the keys.
                seats[0].ask(work).await?;
                mark.set().await?;
                seats[0].ask(work).await?;
                crew.stop().await;
                Ok(())
            };
            let ran = while_at_work((&ground.admin, server), role, warm_request).await?;
            let ran: Vec<String> = ran.iter().map(|statement| without_types(&statement.sql)).collect();
            let (what, who) = (work.name(), contender.name());
            ensure!(ran == expected, "{what} of {who} runs other statements:\n{ran:#?}\n{expected:#?}");
        }
    }
    ground.empty().await
}

fn text(name: &str) -> Result<String> {
    if name.starts_with(char::is_uppercase) {
        Ok(name.to_owned())
    } else {
        Ok(without_types(&statement(name)?))
    }
}
