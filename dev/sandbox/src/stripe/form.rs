//! Parameters: a form with brackets (`metadata[a]=1`, `line_items[0][quantity]=1`, `types[]=a`), or JSON, as a tree.

use serde_json::{Map, Value, json};

use super::errors::Refusal;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Params(Value);

impl Params {
    pub(crate) fn form(text: &[u8]) -> Result<Self, Refusal> {
        let mut root = Value::Object(Map::new());
        for (name, value) in url::form_urlencoded::parse(text) {
            let (head, rest) = name.split_once('[').map_or((&*name, None), |(head, rest)| (head, Some(rest)));
            let inner = rest.map(|rest| rest.strip_suffix(']').unwrap_or(rest));
            let mut path = vec![head];
            path.extend(inner.into_iter().flat_map(|inner| inner.split("][")));
            put(&mut root, &path, &value).ok_or_else(|| Refusal::invalid(format!("Invalid {name}")))?;
        }
        Ok(Self(lists(root)))
    }

    pub(crate) fn json(body: &[u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Ok(Self(json!({})));
        }
        let wrong = |_| Refusal::invalid("The request body is not valid JSON.");
        Ok(Self(serde_json::from_slice(body).map_err(wrong)?))
    }

    /// The same for the same parameters in whatever order.
    pub(crate) fn fingerprint(&self) -> String {
        self.0.to_string()
    }

    /// A path like `/payment_intent_data/metadata`.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        self.0.pointer(path).filter(|value| !value.is_null())
    }

    /// What stands below, on its own.
    pub(crate) fn below(&self, path: &str) -> Self {
        Self(self.at(path).cloned().unwrap_or_else(|| json!({})))
    }

    /// Empty text is as good as none.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.at(path).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn required(&self, path: &str) -> Result<&str, Refusal> {
        self.text(path).ok_or_else(|| Refusal::missing(&named(path)))
    }

    pub(crate) fn integer(&self, path: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.at(path) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let wrong = || {
            let message = format!("Invalid integer: {value}");
            Refusal::param(Some("parameter_invalid_integer"), &named(path), message)
        };
        number.map(Some).ok_or_else(wrong)
    }

    /// Minor units, at least so many.
    pub(crate) fn amount(&self, path: &str, least: i64) -> Result<Option<i64>, Refusal> {
        let amount = self.integer(path)?;
        if amount.is_some_and(|amount| amount < least) {
            let message = format!("This value must be greater than or equal to {least}.");
            return Err(Refusal::param(Some("parameter_invalid_integer"), &named(path), message));
        }
        Ok(amount)
    }

    pub(crate) fn currency(&self, path: &str) -> Result<String, Refusal> {
        let code = self.required(path)?.to_ascii_lowercase();
        if code.len() == 3 && code.bytes().all(|b| b.is_ascii_lowercase()) {
            return Ok(code);
        }
        Err(Refusal::param(None, &named(path), format!("Invalid currency: {code}")))
    }

    pub(crate) fn is_set(&self, path: &str) -> bool {
        self.at(path).is_some_and(|value| value == &json!(true) || value == "true")
    }

    /// Texts by name: up to 50, names up to 40 characters, texts up to 500.
    pub(crate) fn metadata(&self, path: &str) -> Result<Value, Refusal> {
        let Some(given) = self.at(path).and_then(Value::as_object) else { return Ok(json!({})) };
        let fits = |(name, text): (&String, &Value)| {
            name.chars().count() <= 40 && text.as_str().is_some_and(|text| text.chars().count() <= 500)
        };
        if given.len() > 50 || !given.iter().all(fits) {
            return Err(Refusal::param(None, &named(path), "Metadata is too long or not text."));
        }
        let filled = given.iter().filter(|(_, text)| *text != "");
        Ok(Value::Object(filled.map(|(name, text)| (name.clone(), text.clone())).collect()))
    }

    pub(crate) fn list(&self, path: &str) -> Vec<&Value> {
        self.at(path).and_then(Value::as_array).map(|list| list.iter().collect()).unwrap_or_default()
    }

    pub(crate) fn texts(&self, path: &str) -> Vec<String> {
        self.list(path).into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Refuses what is not among these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let names = self.0.as_object().into_iter().flat_map(Map::keys);
        let mut strange = names.filter(|name| *name != "expand" && !known.contains(&name.as_str()));
        strange.next().map_or(Ok(()), |name| {
            let message = format!("Received unknown parameter: {name}");
            Err(Refusal::param(Some("parameter_unknown"), name, message))
        })
    }
}

impl From<Value> for Params {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

/// `/a/b` as Stripe names it: `a[b]`.
fn named(path: &str) -> String {
    let mut parts = path.trim_start_matches('/').split('/');
    let head = parts.next().unwrap_or_default();
    parts.fold(head.to_owned(), |all, part| format!("{all}[{part}]"))
}

/// `None` where one name is used for text and for a tree.
fn put(node: &mut Value, path: &[&str], value: &str) -> Option<()> {
    let (head, rest) = path.split_first()?;
    let members = node.as_object_mut()?;
    let name = if head.is_empty() { members.len().to_string() } else { (*head).to_owned() };
    if rest.is_empty() {
        members.insert(name, json!(value));
        return Some(());
    }
    put(members.entry(name).or_insert_with(|| json!({})), rest, value)
}

/// An object whose names are numbers is a list.
fn lists(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let numbered = |name: &String| name.parse::<usize>().ok();
    if !members.is_empty() && members.keys().all(|name| numbered(name).is_some()) {
        let mut all: Vec<_> = members.into_iter().map(|(name, value)| (numbered(&name), value)).collect();
        all.sort_by_key(|(at, _)| *at);
        return Value::Array(all.into_iter().map(|(_, value)| lists(value)).collect());
    }
    Value::Object(members.into_iter().map(|(name, value)| (name, lists(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_become_trees_and_numbers_lists() {
        let text = b"mode=payment&line_items[0][price_data][currency]=usd&line_items[1][quantity]=2\
            &metadata[payment_id]=a%20b&types[]=x&types[]=y&created[gte]=5";
        let params = Params::form(text).unwrap();
        let expected = json!({
            "mode": "payment",
            "line_items": [{"price_data": {"currency": "usd"}}, {"quantity": "2"}],
            "metadata": {"payment_id": "a b"},
            "types": ["x", "y"],
            "created": {"gte": "5"},
        });
        assert_eq!(params, Params(expected));
        assert_eq!(params.integer("/created/gte").unwrap(), Some(5));
        assert!(Params::form(b"a=1&a[b]=2").is_err());
        assert_eq!(named("/line_items/0/price_data"), "line_items[0][price_data]");
    }
}
