//! Requests as a client makes them, each printed with its answer.

use std::io::Read;

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::http::{Answer, Http};
use crate::show;

pub struct Client {
    pub http: Http,
    pub api: String,
    pub quiet: bool,
}

impl Client {
    pub fn say(&self, what: &str) {
        if !self.quiet {
            println!("\n# {what}");
        }
    }

    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &Value,
        expected: StatusCode,
    ) -> Result<Value> {
        self.send(&Method::POST, url, headers, Some(body), expected).await
    }

    /// A request that may be answered at once or be taken up.
    pub async fn post_any(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> Result<Value> {
        let url = format!("{}{url}", self.api);
        show::request(&Method::POST, &url, headers, Some(body));
        let answer = self.http.send(&Method::POST, &url, headers, Some(body)).await?;
        let json = answer.json()?;
        show::answer(answer.status, &answer.headers, &json);
        if answer.status.is_success() { Ok(json) } else { bail!("POST {url} was answered {}", answer.status) }
    }

    pub async fn quietly(&self, url: &str, headers: &[(&str, &str)]) -> Result<Value> {
        self.http.send(&Method::GET, url, headers, None).await?.json()
    }

    /// Settings of the sandbox, which are no part of what is shown.
    pub async fn put_quietly(&self, url: &str, body: &Value) -> Result<()> {
        let answer = self.http.send(&Method::PUT, url, &[], Some(body)).await?;
        if answer.status.is_success() { Ok(()) } else { bail!("PUT {url} was answered {}", answer.status) }
    }

    /// A path is the API's; a whole address is another's.
    pub async fn send(
        &self,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
        expected: StatusCode,
    ) -> Result<Value> {
        let answer = self.answer(method, url, headers, body).await?;
        if answer.status != expected {
            bail!("{method} {url} was expected to answer {expected}");
        }
        answer.json()
    }

    /// As [`Client::send`], for whoever reads more than the body, and whatever the status.
    pub async fn answer(
        &self,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let url = if url.starts_with('/') { format!("{}{url}", self.api) } else { url.to_owned() };
        if !self.quiet {
            show::request(method, &url, headers, body);
        }
        let answer = self.http.send(method, &url, headers, body).await?;
        if !self.quiet {
            // A redirect has nothing in it.
            let json = if answer.body.is_empty() { Value::Null } else { answer.json()? };
            show::answer(answer.status, &answer.headers, &json);
        }
        Ok(answer)
    }
}

pub fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("the answer has no {pointer}"))
}

pub fn expect_eq(value: &Value, pointer: &str, expected: &str) -> Result<()> {
    let found = text(value, pointer)?;
    if found == expected { Ok(()) } else { bail!("{pointer} is {found}, not {expected}") }
}

pub fn random_hex<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}
