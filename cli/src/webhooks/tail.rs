use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use anyhow::Result;
use shared::webhook::desk::{self, Event, Filter, State, first_id};
use time::OffsetDateTime;
use tokio_postgres::Client;
use uuid::Uuid;

use super::which::Provider;
use super::{connect, lines};
use crate::store::{From, Store};
use crate::when::now;
use crate::words::count;

const LOOK: Duration = Duration::from_secs(1);
/// An id is made before its transaction begins, and no transaction takes as long as this.
const OVERLAP: time::Duration = time::Duration::minutes(2);
/// Of events older than that, so many are watched for changes.
const WATCHED: usize = 1_000;
/// More than ever come within the overlap.
const ALL: i64 = 1_000_000;

/// Show what providers tell us as it comes, until interrupted
///
/// The lines are those of `list`. An event is shown when it comes, and again when its state, its attempts or its error
/// change. Reads the secret `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    provider: Option<Provider>,
    /// Only those of this type, such as `charge.refunded` or `InvoiceSettled`
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only those about this object of the provider
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// Stop after this many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let client = connect(&Store::open(args.from).await?).await?;
    let until = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let filter = Filter {
        provider: args.provider.map(Provider::name),
        states: State::ALL.to_vec(),
        kind: args.kind,
        object_id: args.object,
        account: None,
        since: None,
        until: None,
    };
    let mut tail = Tail { client, filter, known: BTreeMap::new() };
    // What is there is no news.
    tail.news().await?;
    let mut shown = 0;
    while until.is_none_or(|until| Instant::now() < until) {
        tokio::time::sleep(LOOK).await;
        let news = tail.news().await?;
        shown += news.len();
        if !news.is_empty() && !print(&news) {
            break;
        }
    }
    Ok(format!("{} shown", count(shown, "line")))
}

/// Whether somebody still reads.
fn print(events: &[Event]) -> bool {
    let mut out = stdout().lock();
    out.write_all(lines(events).as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// What may change of an event.
type Standing = (String, i32, Option<String>);

struct Tail {
    client: Client,
    filter: Filter,
    known: BTreeMap<Uuid, Standing>,
}

impl Tail {
    /// What came or changed since the last look, in the order of ids. Transactions do not end in that order: an event
    /// may turn up behind others that were shown before it.
    async fn news(&mut self) -> Result<Vec<Event>> {
        let since: OffsetDateTime = now(&self.client).await? - OVERLAP;
        self.filter.since = Some(since);
        self.forget_before(first_id(since));
        let older: Vec<Uuid> = self.known.range(..first_id(since)).map(|(id, _)| *id).collect();
        let mut events = desk::list(&self.client, &self.filter, ALL).await?;
        if !older.is_empty() {
            events.extend(desk::find(&self.client, &older).await?);
        }
        events.sort_unstable_by_key(|event| event.id);
        events.retain(|event| {
            let standing = (event.state.clone(), event.attempts, event.last_error_code.clone());
            self.known.insert(event.id, standing.clone()) != Some(standing)
        });
        Ok(events)
    }

    fn forget_before(&mut self, first: Uuid) {
        let mut older = self.known.range(..first).count();
        while older > WATCHED {
            self.known.pop_first();
            older -= 1;
        }
    }
}
