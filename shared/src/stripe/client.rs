use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::path::is_id;
use super::{API_VERSION, Path, answer};
use crate::config::Config;
use crate::upstream::{
    Answer, ApiKey, ApiKeyDocument, BaseUrl, Call, Common, Keyed, Provider, Repeat, Trouble, Upstream,
    UpstreamError, code,
};

const LIVE: &str = "https://api.stripe.com";
/// What Stripe gives at most.
const EVENTS_PER_PAGE: usize = 100;
/// As many events as large as an event can be would be far more; a page has some 300 kB.
const MAX_PAGE: usize = 32 * 1024 * 1024;
/// API v2 leaves these out unless asked.
const PARTS_OF_AN_ACCOUNT: &str = "include[0]=configuration.merchant&include[1]=configuration.recipient\
                                   &include[2]=identity&include[3]=requirements";

/// Stripe, and the key to it. It only reads.
#[derive(Clone)]
pub struct Stripe {
    base: BaseUrl,
    keyed: Keyed,
}

/// Events as Stripe wrote them, the newest first.
#[derive(Debug)]
pub struct EventPage {
    pub events: Vec<Box<RawValue>>,
    pub has_more: bool,
    /// The id of the last one, after which the next page begins.
    pub last: Option<String>,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Box<RawValue>>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

impl Stripe {
    /// Reads `STRIPE_SECRET` and `STRIPE_URL`; without a key there is no asking Stripe.
    pub fn wire(config: &mut Config, upstream: &Upstream) -> Option<Self> {
        let key = config.optional_secret::<ApiKeyDocument, ApiKey>("STRIPE_SECRET")?;
        let url = config.optional("STRIPE_URL").unwrap_or_else(|| LIVE.to_owned());
        let base = BaseUrl::read(config, "STRIPE_URL", &url, upstream.scheme())?;
        let keyed = Keyed {
            provider: Provider::Stripe,
            upstream: upstream.clone(),
            key,
            sign: |call, key| {
                call.credential("authorization", &format!("Bearer {}", key.expose()), key.expose())
            },
            refused: code::STRIPE_KEY_REFUSED,
            unavailable: code::STRIPE_KEY_UNAVAILABLE,
        };
        Some(Self { base, keyed })
    }

    /// The same, whose calls end by `deadline`.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { keyed: self.keyed.until(deadline), ..self.clone() }
    }

    /// An object as it stands now; `account` is the connected account it is in, `None` our own.
    pub async fn retrieve(&self, account: Option<&str>, path: &Path) -> Result<Value, UpstreamError> {
        self.send(account, &path.text(), |answer| of_id(answer, path.id())).await
    }

    /// A connected account that was made by API v2.
    pub async fn account_v2(&self, id: &str) -> Result<Value, UpstreamError> {
        checked(id)?;
        let path = format!("/v2/core/accounts/{id}?{PARTS_OF_AN_ACCOUNT}");
        self.send(None, &path, |answer| of_id(answer, id)).await
    }

    /// A page of what happened from `from` to before `to`, in whole seconds, beginning after the event `after`. Stripe
    /// keeps them for 30 days; thin ones are not among them.
    pub async fn events(
        &self,
        account: Option<&str>,
        from: OffsetDateTime,
        to: OffsetDateTime,
        after: Option<&str>,
    ) -> Result<EventPage, UpstreamError> {
        let (from, to) = (from.unix_timestamp(), to.unix_timestamp());
        let mut path = format!("/v1/events?created[gte]={from}&created[lt]={to}&limit={EVENTS_PER_PAGE}");
        if let Some(after) = after {
            checked(after)?;
            path.push_str("&starting_after=");
            path.push_str(after);
        }
        self.send(account, &path, page).await
    }

    async fn send<T>(
        &self,
        account: Option<&str>,
        path: &str,
        read: impl Fn(&Answer) -> Result<T, Trouble>,
    ) -> Result<T, UpstreamError> {
        let call = Call::new(Provider::Stripe, Repeat::Safe, Method::GET, self.base.with(path));
        let mut call = call.limit(MAX_PAGE).header("stripe-version", API_VERSION);
        if let Some(account) = account {
            checked(account)?;
            call = call.header("stripe-account", account);
        }
        self.keyed.send(call, |answer| read(answer::success(answer)?)).await
    }
}

fn of_id(answer: &Answer, id: &str) -> Result<Value, Trouble> {
    let object: Value = answer.json()?;
    if object.get("id").and_then(Value::as_str) == Some(id) {
        Ok(object)
    } else {
        Err(answer.unexpected("another object"))
    }
}

fn page(answer: &Answer) -> Result<EventPage, Trouble> {
    let List { data: events, has_more } = answer.json()?;
    let last = match events.last() {
        None => None,
        Some(event) => {
            let event = serde_json::from_str::<Identified>(event.get());
            Some(event.map_err(|_| answer.unexpected("an event without an id"))?.id)
        }
    };
    // Whoever asked for the page after it would ask for ever.
    if has_more && !last.as_deref().is_some_and(is_id) {
        return Err(answer.unexpected("a page with nothing to go on from"));
    }
    Ok(EventPage { events, has_more, last })
}

/// Ids come from events: signed, but not ours.
fn checked(id: &str) -> Result<(), UpstreamError> {
    if is_id(id) {
        return Ok(());
    }
    let trouble = Trouble::refused(Provider::Stripe.code(Common::Rejected), "not sent: an id that is none");
    Err(trouble.into_error(Provider::Stripe, Repeat::Safe, &[]))
}
