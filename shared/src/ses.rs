//! Amazon SES, as far as it takes to send one plain mail to one address.
//!
//! SES knows no idempotency: a mail whose answer was lost may arrive twice, and that is the lesser evil.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::clock::Clock;
use crate::config::{Aws, Config};
use crate::upstream::{Asked, BaseUrl, Got, Repeat, Upstream};

const SERVICE: &str = "ses";
const PATH: &str = "/v2/email/outbound-emails";
const CONTENT_TYPE: &str = "application/json";
const ERROR_TYPE: &str = "x-amzn-errortype";
/// What is wrong with the mail and will stay so. Everything else, our own account's troubles included, may pass.
const OF_THE_MAIL: [&str; 2] = ["MessageRejected", "BadRequestException"];
const MAX_ADDRESS_BYTES: usize = 254;
const MAX_SUBJECT_CHARS: usize = 200;
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// A name and an address.
const MAX_FROM_BYTES: usize = 320;

/// SES of one region, and whom our mails come from.
#[derive(Clone)]
pub struct Ses {
    upstream: Upstream,
    base: BaseUrl,
    region: String,
    credentials: Credentials,
    from: String,
    clock: Clock,
}

/// A mail that is one: to one address, with a subject of one line. It prints nothing of itself, for it may hold a token.
#[derive(Clone)]
pub struct Mail {
    to: String,
    subject: String,
    text: String,
}

/// What cannot be a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAMail {
    Address,
    Subject,
    Text,
}

impl fmt::Display for NotAMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "not one plain address",
            Self::Subject => "not one line for a subject",
            Self::Text => "not a text for a mail",
        })
    }
}

impl std::error::Error for NotAMail {}

impl Mail {
    pub fn new(to: &str, subject: &str, text: &str) -> Result<Self, NotAMail> {
        if !is_address(to) {
            return Err(NotAMail::Address);
        }
        let length = subject.chars().count();
        if length == 0 || length > MAX_SUBJECT_CHARS || subject.chars().any(char::is_control) {
            return Err(NotAMail::Subject);
        }
        let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        if text.is_empty() || text.len() > MAX_TEXT_BYTES || !text.chars().all(is_text) {
            return Err(NotAMail::Text);
        }
        Ok(Self { to: to.to_owned(), subject: subject.to_owned(), text: text.to_owned() })
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mail([redacted])")
    }
}

/// One address and nothing else: no name, no list, no comment, no quotes.
fn is_address(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b",;:<>()[]\\\"".contains(&byte);
    let parts = text.split_once('@');
    let two_parts =
        parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    two_parts && text.len() <= MAX_ADDRESS_BYTES && text.bytes().all(plain)
}

/// `hello@example.com`, or with a name before it in front of `<…>`.
fn is_from(text: &str) -> bool {
    let printable = text.len() <= MAX_FROM_BYTES && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let address = match text.strip_suffix('>') {
        None => Some(text),
        Some(named) => named.rsplit_once('<').map(|(_, address)| address),
    };
    printable && address.is_some_and(is_address)
}

/// Why a mail is not known to be on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SesError {
    /// SES will not send it; the code it gave.
    Refused(String),
    /// Another time. In rare cases it was sent all the same.
    Retry(String),
}

impl fmt::Display for SesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "SES refuses the mail: {code}"),
            Self::Retry(why) => write!(f, "SES did not take the mail: {why}"),
        }
    }
}

impl std::error::Error for SesError {}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    message_id: String,
}

impl Ses {
    /// Reads `MAIL_FROM` and `SES_URL`; without the first no mail is sent. Region and credentials are the function's.
    pub fn wire(config: &mut Config, upstream: &Upstream) -> Option<Self> {
        let from = config.optional("MAIL_FROM")?;
        if !is_from(&from) {
            config.problem("MAIL_FROM is neither an address nor a name with an address in <>");
        }
        let Aws { region, key_id, key, token } = config.aws();
        let url =
            config.optional("SES_URL").unwrap_or_else(|| format!("https://email.{region}.amazonaws.com"));
        let base = BaseUrl::read(config, "SES_URL", &url, upstream.scheme())?;
        let credentials = Credentials::new(key_id, key, token, None, "environment");
        Some(Self { upstream: upstream.clone(), base, region, credentials, from, clock: config.clock() })
    }

    /// Hands it over, within this time at most. Gives the id SES calls it by.
    pub async fn send(&self, mail: &Mail, within: Duration) -> Result<String, SesError> {
        let utf8 = |text: &str| json!({ "Data": text, "Charset": "UTF-8" });
        let body = json!({
            "FromEmailAddress": self.from,
            "Destination": { "ToAddresses": [mail.to] },
            "Content": { "Simple": { "Subject": utf8(&mail.subject), "Body": { "Text": utf8(&mail.text) } } },
        });
        let body = Bytes::from(body.to_string());
        let url = self.base.with(PATH);
        let headers =
            self.signed(&url, &body).map_err(|()| SesError::Retry(String::from("cannot be signed")))?;
        let asked = Asked {
            method: Method::POST,
            url,
            headers,
            body: Some((CONTENT_TYPE, body)),
            // An idle connection that has died would leave open whether the mail went.
            repeat: Repeat::Unsafe,
            metric: "SesMilliseconds",
            within: Some(within),
        };
        let answer = self.upstream.once(&asked).await;
        let answer = answer.map_err(|missed| SesError::Retry(missed.to_string()))?;
        read(&answer)
    }

    /// The headers that say who sends it (Signature Version 4).
    fn signed(&self, url: &str, body: &[u8]) -> Result<HeaderMap, ()> {
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(SystemTime::from(self.clock.now()))
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| ())?
            .into();
        let headers = [("content-type", CONTENT_TYPE)].into_iter();
        let request =
            SignableRequest::new("POST", url, headers, SignableBody::Bytes(body)).map_err(|_| ())?;
        let (instructions, _) = sign(request, &params).map_err(|_| ())?.into_parts();
        let mut signed = HeaderMap::new();
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| ())?;
            value.set_sensitive(true);
            signed.insert(name, value);
        }
        Ok(signed)
    }
}

fn read(answer: &Got) -> Result<String, SesError> {
    if answer.status == StatusCode::OK {
        let sent: Result<Sent, _> = serde_json::from_slice(&answer.body);
        return sent
            .map(|sent| sent.message_id)
            .map_err(|_| SesError::Retry(answer.loggable("not an answer of SES's", &[])));
    }
    let code = answer.headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Some services put a colon and where the type is described behind it.
    let code = code.split(':').next().unwrap_or_default();
    match OF_THE_MAIL.iter().find(|known| **known == code) {
        Some(code) if answer.status.is_client_error() => Err(SesError::Refused((*code).to_owned())),
        _ => Err(SesError::Retry(answer.loggable(if code.is_empty() { "no code" } else { code }, &[]))),
    }
}
