//! Lists, read entry by entry: one that is not as documented must not hide all the others.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::call::Answer;
use super::error::Trouble;

/// What a list holds. Whoever looks for something asks [`List::odd`] before he believes that it is not there.
#[derive(Debug)]
pub(crate) struct List<T> {
    pub(crate) entries: Vec<T>,
    odd: Vec<Map<String, Value>>,
}

impl<T: DeserializeOwned> List<T> {
    /// Leaves out what cannot be read, and says so in the log. A list of which nothing can be read is none.
    pub(crate) fn read(answer: &Answer, raw: &[&RawValue]) -> Result<Self, Trouble> {
        let mut list = Self { entries: Vec::with_capacity(raw.len()), odd: Vec::new() };
        let mut first_at = None;
        for (at, entry) in raw.iter().enumerate() {
            if let Ok(entry) = serde_json::from_str(entry.get()) {
                list.entries.push(entry);
            } else {
                first_at.get_or_insert(at);
                list.odd.push(serde_json::from_str(entry.get()).unwrap_or_default());
            }
        }
        if let Some(first_at) = first_at {
            if list.entries.is_empty() {
                return Err(answer.unexpected("a list of which no entry can be read"));
            }
            let (provider, left_out, of) = (answer.provider.name(), list.odd.len(), raw.len());
            tracing::warn!(target: "upstream", provider, left_out, of, first_at, "entries of a list cannot be read and are left out");
        }
        Ok(list)
    }
}

impl<T> List<T> {
    /// A member of every entry that was left out; `None` where there is no such text.
    pub(crate) fn odd(&self, member: &str) -> impl Iterator<Item = Option<&str>> {
        self.odd.iter().map(move |entry| entry.get(member)?.as_str())
    }
}
