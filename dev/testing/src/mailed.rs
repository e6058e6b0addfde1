//! Mail that a function left behind.

use std::time::Duration;

use anyhow::Context as _;
use shared::db::{self, Db, Type};
use shared::mail::{Fate, Sender};

use crate::World;

impl World {
    /// Sends what a function wrote and could not send in the moment it has for it, as on a busy machine: what is asserted
    /// of a mail after this does not hang on luck.
    pub async fn deliver_mail(&self) -> anyhow::Result<()> {
        let due = "UPDATE mails SET due_at = $1 WHERE state = 'waiting'";
        db::execute(&self.db.admin().await?, due, &[(&self.now(), Type::TIMESTAMPTZ)]).await?;
        let (db, sender) = self.wire("send_mails", |config| (Db::wire(config), Sender::wire(config))).await?;
        let connection = db.connection().await?;
        while let Some(mail) = sender.take(connection.client()).await.context("no mail was taken up")? {
            let fate = sender.send(&mail, Duration::from_secs(30)).await;
            sender.end(connection.client(), &mail, &fate).await?;
            anyhow::ensure!(!matches!(fate, Fate::Waiting { .. }), "a mail was not sent: {fate:?}");
        }
        Ok(())
    }
}
