use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::Unreadable;

/// What every reader of JSON takes a whole number to be exact up to. Sums of such amounts stay far from the end of i64.
const LARGEST: u64 = 1 << 53;
/// Within what the database can keep.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2400;
/// Stripe promises that no id is longer.
const MAX_WORD: usize = 255;

/// Ids, and the words Stripe has for things. What is not printable ASCII is neither, and the database could not hold all
/// of it.
pub(in super::super) fn is_word(text: &str) -> bool {
    (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The members of an object. Null is absent; each reader comes in two, and `optional_…` takes absence for an answer.
#[derive(Clone, Copy)]
pub(in super::super) struct Fields<'a>(&'a Map<String, Value>);

/// What must be there.
fn required<T>(name: &'static str, value: Result<Option<T>, Unreadable>) -> Result<T, Unreadable> {
    value?.ok_or(Unreadable::Member(name))
}

impl<'a> Fields<'a> {
    pub(in super::super) fn new(members: &'a Map<String, Value>) -> Self {
        Self(members)
    }

    pub(in super::super) fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn has_entries(self, name: &str) -> bool {
        self.get(name).and_then(Value::as_array).is_some_and(|entries| !entries.is_empty())
    }

    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn optional<T>(
        self,
        name: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Unreadable> {
        self.get(name).map(|value| read(value).ok_or(Unreadable::Member(name))).transpose()
    }

    pub(in super::super) fn word(self, name: &'static str) -> Result<String, Unreadable> {
        required(name, self.optional_word(name))
    }

    /// An empty text is as good as none.
    pub(in super::super) fn optional_word(self, name: &'static str) -> Result<Option<String>, Unreadable> {
        let word = self.optional(name, |value| {
            value.as_str().filter(|text| text.is_empty() || is_word(text)).map(str::to_owned)
        })?;
        Ok(word.filter(|text| !text.is_empty()))
    }

    pub(in super::super) fn id(self, name: &'static str) -> Result<String, Unreadable> {
        required(name, self.optional_id(name))
    }

    /// An id, or the object itself where the reference was expanded.
    pub(in super::super) fn optional_id(self, name: &'static str) -> Result<Option<String>, Unreadable> {
        match self.get(name).and_then(Self::of) {
            Some(expanded) => expanded.word("id").map(Some).map_err(|_| Unreadable::Member(name)),
            None => self.optional_word(name),
        }
    }

    pub(super) fn number(self, name: &'static str) -> Result<i64, Unreadable> {
        required(name, self.optional_number(name))
    }

    pub(super) fn optional_number(self, name: &'static str) -> Result<Option<i64>, Unreadable> {
        self.optional(name, whole)
    }

    /// In lower case, as Stripe writes it.
    pub(super) fn currency(self, name: &'static str) -> Result<String, Unreadable> {
        required(name, self.optional_currency(name))
    }

    pub(super) fn optional_currency(self, name: &'static str) -> Result<Option<String>, Unreadable> {
        let is_currency = |text: &&str| {
            (3..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        self.optional(name, |value| value.as_str().filter(is_currency).map(str::to_ascii_lowercase))
    }

    pub(in super::super) fn flag(self, name: &'static str) -> Result<bool, Unreadable> {
        required(name, self.optional_flag(name))
    }

    pub(super) fn optional_flag(self, name: &'static str) -> Result<Option<bool>, Unreadable> {
        self.optional(name, |value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }

    pub(in super::super) fn time(self, name: &'static str) -> Result<OffsetDateTime, Unreadable> {
        required(name, self.optional_time(name))
    }

    /// Seconds in API v1, RFC 3339 in v2. To the microsecond, which is what the database keeps.
    pub(super) fn optional_time(self, name: &'static str) -> Result<Option<OffsetDateTime>, Unreadable> {
        self.optional(name, |value| {
            let at = match whole(value) {
                Some(seconds) => OffsetDateTime::from_unix_timestamp(seconds).ok()?,
                None => OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()?,
            };
            let at = at.replace_microsecond(at.microsecond()).ok()?;
            YEARS.contains(&at.year()).then_some(at)
        })
    }

    /// Our own payment's id, where one is written down. Other people's metadata is no error.
    pub(super) fn reference(self) -> Option<Uuid> {
        self.within(&["metadata"])?.uuid("payment_id")
    }

    pub(super) fn uuid(self, name: &str) -> Option<Uuid> {
        let text = self.get(name)?.as_str()?;
        // Stripe gives back what we wrote, and that is this form.
        if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
    }

    /// The object below these names, if there is one all the way down.
    pub(super) fn within(self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self, |fields, name| Self::of(fields.get(name)?))
    }

    /// The objects of a list, as Stripe writes one (`{"object":"list","data":[…]}`) or plain. Ids that were not
    /// expanded are no objects.
    pub(super) fn list(self, name: &'static str) -> Result<Vec<Self>, Unreadable> {
        let list = match self.get(name) {
            Some(Value::Object(list)) => list.get("data"),
            other => other,
        };
        match list {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(entries)) => Ok(entries.iter().filter_map(Self::of).collect()),
            Some(_) => Err(Unreadable::Member(name)),
        }
    }
}

fn whole(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|number| number.unsigned_abs() <= LARGEST)
}

/// Every one of a list; one that cannot be read spoils it.
pub(super) fn each<'a, T>(
    list: Vec<Fields<'a>>,
    read: impl FnMut(Fields<'a>) -> Result<T, Unreadable>,
) -> Result<Vec<T>, Unreadable> {
    list.into_iter().map(read).collect()
}
