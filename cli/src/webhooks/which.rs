use anyhow::{Result, bail};
use clap::ValueEnum;
use shared::db::GenericClient;
use shared::webhook::desk::{self, Filter};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::when::{When, when};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Provider {
    Stripe,
    Btcpay,
}

impl Provider {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Btcpay => "btcpay",
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// Waits to be gone through, at once or again
    Received,
    /// Is of no concern to us; the error code says why
    Ignored,
    /// Was gone through
    Done,
    /// Nobody goes on with it until it is replayed
    Dead,
}

impl State {
    fn column(self) -> desk::State {
        match self {
            Self::Received => desk::State::Received,
            Self::Ignored => desk::State::Ignored,
            Self::Done => desk::State::Done,
            Self::Dead => desk::State::Dead,
        }
    }
}

/// Which events; all that is given must hold
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    #[arg(long)]
    provider: Option<Provider>,
    /// Only those in this state
    #[arg(long)]
    state: Option<State>,
    /// Only those of this type, such as `charge.refunded` or `InvoiceSettled`
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only those about this object of the provider
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// Only those of this account at the provider: Stripe's connected account, BTCPay's store
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Received then or later: `2026-01-09T12:00:00Z`, or `2h` or `3d` ago
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Received before
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<When>,
}

impl Which {
    /// `states` are those that are meant when none is given.
    pub fn filter(&self, states: &[desk::State], now: OffsetDateTime) -> Result<Filter> {
        let time = |when: Option<When>| when.map(|when| when.before(now)).transpose();
        let (since, until) = (time(self.since)?, time(self.until)?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            bail!("--since is not before --until");
        }
        Ok(Filter {
            provider: self.provider.map(Provider::name),
            states: self.state.map_or_else(|| states.to_vec(), |state| vec![state.column()]),
            kind: self.kind.clone(),
            object_id: self.object.clone(),
            account: self.account.clone(),
            since,
            until,
        })
    }
}

/// The events somebody means: by our id, or by the provider's.
pub async fn named(client: &impl GenericClient, text: &str) -> Result<Vec<desk::Event>> {
    let ids = match text.parse::<Uuid>() {
        Ok(id) => vec![id],
        Err(_) => desk::called(client, text).await?,
    };
    let mut found = desk::find(client, &ids).await?;
    if found.is_empty() && !ids.is_empty() {
        // Ids of BTCPay's may look like ours.
        found = desk::find(client, &desk::called(client, text).await?).await?;
    }
    if found.is_empty() {
        bail!("there is no event {text}: `satchel webhooks list` has them");
    }
    Ok(found)
}
